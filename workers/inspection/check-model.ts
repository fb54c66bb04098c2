/**
 * Limited child with the engine: does it compute what onnxruntime computes, and what stands in the way of training.
 * Argument: the file's path.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isBareOnnx, readModel } from '../../src/compression/formats/read-model.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { openRuntime } from '../../src/compression/measure/session.ts';
import { checkAgainstRuntime, type Agreement } from '../../src/compression/agreement/agreement.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { readVariable } from '../../src/config/read.ts';
import { answer } from './answer.ts';

/** Enough for every mark that `isBareOnnx` looks for. */
const START_BYTES = 16;

await answer(async () => {
  const path = process.argv[2] as string;
  if (isBareOnnx(await startOf(path))) return check(path);
  const converted = join(tmpdir(), `lathe-${randomUUID()}.onnx`);
  try {
    await writeFile(converted, writeOnnx((await readModel(await readFile(path))).model));
    return await check(converted);
  } finally {
    await rm(converted, { force: true });
  }
}, 'internal');

/** onnxruntime opens the file before this process reads it, for while it optimizes a graph it holds weights twice. */
async function check(path: string): Promise<Agreement> {
  const runtime = openRuntime(path, { threads: 2 });
  await runtime.catch(() => null); // reasons found in the graph go before a refusal
  const bytes = await readFile(path);
  return checkAgainstRuntime(bytes, (await readModel(bytes)).model, {
    runtime,
    startEngine: () => startEngine(readVariable(process.env, 'LATHE_ENGINE')),
  });
}

async function startOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  const { buffer, bytesRead } = await file
    .read(new Uint8Array(START_BYTES), 0, START_BYTES, 0)
    .finally(() => file.close());
  return buffer.subarray(0, bytesRead);
}
