/**
 * The WebAssembly engine: tfjs's XNNPACK backend, its files taken from node_modules, with threads and SIMD where Node
 * has them.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { tf } from './tf.ts';
import { liftRankLimits } from './wasm-broadcast.ts';
import type { Engine } from './engine.ts';
import type * as tfjsWasm from '@tensorflow/tfjs-backend-wasm';

const require = createRequire(import.meta.url);

export async function startWasm(threads: number, reason: string): Promise<Engine> {
  const wasm = require('@tensorflow/tfjs-backend-wasm') as typeof tfjsWasm;
  const folder = dirname(require.resolve('@tensorflow/tfjs-backend-wasm'));
  wasm.setWasmPaths(join(folder, '/'));
  wasm.setThreadsCount(threads);
  await tf.setBackend('wasm');
  await tf.ready();
  liftRankLimits();
  return {
    name: 'wasm',
    reason,
    version: wasm.version_wasm,
    devices: ['WebAssembly on the CPU'],
    threads,
    native: false,
    variant: null,
    gpu: false,
    kernels: null,
  };
}
