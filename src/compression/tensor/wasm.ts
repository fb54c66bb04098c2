/**
 * The WebAssembly engine: tfjs's XNNPACK backend, its files taken from node_modules, with threads and SIMD where Node
 * has them.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { tf } from './tf.ts';
import { liftRankLimits } from './wasm-broadcast.ts';
import type * as tfjsWasm from '@tensorflow/tfjs-backend-wasm';

const require = createRequire(import.meta.url);

/** @returns the version of the backend */
export async function loadWasm(threads: number): Promise<string> {
  const wasm = require('@tensorflow/tfjs-backend-wasm') as typeof tfjsWasm;
  const folder = dirname(require.resolve('@tensorflow/tfjs-backend-wasm'));
  wasm.setWasmPaths(join(folder, '/'));
  wasm.setThreadsCount(threads);
  await tf.setBackend('wasm');
  await tf.ready();
  liftRankLimits();
  return wasm.version_wasm;
}
