/**
 * The engine: which tfjs backend computes. TensorFlow's own kernels where the binding was built (see scripts/engine),
 * else WebAssembly. Started once per process.
 */
import { availableParallelism } from 'node:os';
import { ENGINE_CHOICES, type EngineChoice } from '../../contracts/engine.ts';
import { LatheError } from '../../errors.ts';
import { findEngineBuild, loadTensorflow } from './native/binding.ts';
import type { EngineBuild, KernelSet } from './native/binding.ts';
import { loadWasm } from './wasm.ts';

export type { EngineChoice };

export interface Engine {
  readonly name: Exclude<EngineChoice, 'auto'>;
  /** Why this engine runs: it was chosen, or a faster one could not start. */
  readonly reason: string;
  /** Version of what computes: TensorFlow's, or that of the tfjs backend. */
  readonly version: string;
  readonly devices: readonly string[];
  readonly threads: number;
  /** TensorFlow's raw kernels can be called. */
  readonly native: boolean;
  /** The TensorFlow build; null on other engines. */
  readonly variant: 'cpu' | 'cuda' | null;
  readonly gpu: boolean;
  /**
   * The instruction set of the engine's own kernels (LATHE_KERNELS, else the processor's best); null where they do not
   * exist.
   */
  readonly kernels: KernelSet | null;
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
  if (!ENGINE_CHOICES.includes(choice))
    throw new LatheError(
      'unavailable',
      `There is no engine "${choice}": set LATHE_ENGINE to ${ENGINE_CHOICES.join(', ')}`,
    );
  if (choice === 'wasm') return startWasm(threads, 'chosen');
  const build = await findEngineBuild();
  try {
    if (build) return await startTensorflow(build, threads, choice);
  } catch (error) {
    if (choice === 'tensorflow' || process.env['LATHE_KERNELS'])
      throw new LatheError('unavailable', `The TensorFlow engine does not load: ${messageOf(error)}`, [], {
        cause: error,
      });
    return startWasm(threads, `the TensorFlow engine does not load: ${messageOf(error)}`);
  }
  if (choice === 'tensorflow')
    throw new LatheError('unavailable', 'The TensorFlow engine is not built: run "npm run setup"');
  return startWasm(threads, 'the TensorFlow engine is not built ("npm run setup" builds it)');
}

async function startTensorflow(build: EngineBuild, threads: number, choice: EngineChoice): Promise<Engine> {
  const { binding, isUsingGpuDevice } = await loadTensorflow(build, threads);
  const devices = binding.devices().map((name) => name.replace(/^.*device:/, ''));
  const onCpu =
    build.variant === 'cuda' && !isUsingGpuDevice ? '; no usable NVIDIA GPU, so it computes on the CPU' : '';
  return {
    name: 'tensorflow',
    reason: `${choice === 'auto' ? 'built, and the fastest here' : 'chosen'}${onCpu}`,
    version: binding.TF_Version,
    devices,
    threads,
    native: true,
    variant: build.variant,
    gpu: isUsingGpuDevice,
    kernels: isUsingGpuDevice ? null : binding.kernelSet(),
  };
}

async function startWasm(threads: number, reason: string): Promise<Engine> {
  return {
    name: 'wasm',
    reason,
    version: await loadWasm(threads),
    devices: ['WebAssembly on the CPU'],
    threads,
    native: false,
    variant: null,
    gpu: false,
    kernels: null,
  };
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
