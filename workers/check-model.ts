/** Limited child with the engine: does it compute what onnxruntime computes, and what stands in the way of training. Argument: the file's path. */
import { readFile } from 'node:fs/promises';
import { readModel } from '../src/compression/formats/read-model.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import { checkAgainstRuntime } from '../src/compression/network/agreement.ts';
import { startEngine, type EngineChoice } from '../src/compression/tensor/engine.ts';
import { answer } from './inspection-answer.ts';

await answer(async () => {
  const bytes = await readFile(process.argv[2] as string);
  const { format, model } = await readModel(bytes);
  await startEngine((process.env.LATHE_ENGINE ?? 'auto') as EngineChoice);
  return checkAgainstRuntime(format === 'onnx' ? bytes : writeOnnx(model), model);
}, 'internal');
