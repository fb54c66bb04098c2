/** Limited child with the engine: does it compute what onnxruntime computes, and what stands in the way of training. Argument: the file's path. */
import { open, readFile } from 'node:fs/promises';
import { isBareOnnx, readModel } from '../src/compression/formats/read-model.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import { openRuntime } from '../src/compression/measure/session.ts';
import { checkAgainstRuntime } from '../src/compression/network/agreement.ts';
import { startEngine, type EngineChoice } from '../src/compression/tensor/engine.ts';
import { answer } from './inspection-answer.ts';

/** Enough for every mark that `isBareOnnx` looks for. */
const START_BYTES = 16;

await answer(async () => {
  const path = process.argv[2] as string;
  // onnxruntime opens ONNX before this process reads it, for while it optimizes a graph it holds weights twice.
  const runtime = isBareOnnx(await startOf(path)) ? openRuntime(path, { threads: 2 }) : undefined;
  await runtime?.catch(() => null); // reasons found in the graph go before a refusal
  const { model } = await readModel(await readFile(path));
  return checkAgainstRuntime(writeOnnx(model), model, {
    ...(runtime && { runtime }),
    startEngine: () => startEngine((process.env.LATHE_ENGINE ?? 'auto') as EngineChoice),
  });
}, 'internal');

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  const { buffer, bytesRead } = await file.read(new Uint8Array(START_BYTES), 0, START_BYTES, 0).finally(() => file.close());
  return buffer.subarray(0, bytesRead);
}
