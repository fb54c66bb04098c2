/**
 * The engine: which tfjs backend computes. TensorFlow's own kernels where the binding was built (see scripts/engine), else
 * WebAssembly. Started once per process.
 */
import { availableParallelism } from 'node:os';
import { LatheError } from '../../errors.ts';
import { tf } from './tf.ts';
import { startWasm } from './wasm.ts';

export type EngineChoice = 'auto' | 'tensorflow' | 'webgpu' | 'wasm';

export interface Engine {
  readonly name: 'tensorflow' | 'webgpu' | 'wasm';
  /** Why this one: chosen, or what stood in the way of a faster one. */
  readonly reason: string;
  /** Version of what computes: TensorFlow's, or that of the tfjs backend. */
  readonly version: string;
  readonly devices: readonly string[];
  readonly threads: number;
  /** TensorFlow's raw kernels can be called. */
  readonly native: boolean;
}

export interface EngineOptions {
  /** Threads of one operation; default: every core. */
  readonly threads?: number;
}

let started: Promise<Engine> | undefined;
let current: Engine | undefined;

/**
 * Starts the engine; a second call returns the same one, whatever it asks for.
 * @throws LatheError `unavailable` where the engine asked for by name cannot start.
 */
export function startEngine(choice: EngineChoice = 'auto', options: EngineOptions = {}): Promise<Engine> {
  started ??= start(choice, options.threads ?? availableParallelism()).then((engine) => (current = engine));
  return started;
}

/** @throws Error before `startEngine` has finished. */
export function engine(): Engine {
  if (!current) throw new Error('The engine has not been started: call startEngine() first');
  return current;
}

async function start(choice: EngineChoice, threads: number): Promise<Engine> {
  tf.env().set('IS_TEST', false);
  if (choice === 'webgpu') throw new LatheError('unavailable', 'The WebGPU engine is not part of this build; choose tensorflow or wasm');
  return startWasm(threads, choice === 'wasm' ? 'chosen' : 'the TensorFlow engine is not built');
}
