/** Loads the addon that scripts/engine builds, and makes tfjs's TensorFlow backend of it. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import util from 'node:util';
import { projectRoot } from '../project-root.ts';
import { tf } from '../tf.ts';
import type { KernelBackend, TensorInfo } from '@tensorflow/tfjs-core';
import type { TfTensor } from '../tf.ts';

const require = createRequire(import.meta.url);

export interface OpAttribute {
  readonly name: string;
  /** TF_ATTR_* */
  readonly type: number;
  readonly value: unknown;
}

export interface TensorMetadata {
  readonly id: number;
  readonly shape: number[];
  /** TF_DataType */
  readonly dtype: number;
}

/** Instruction sets that the engine's own kernels are compiled for (scripts/engine/addon.mjs). plain: x86-64's base. */
export type KernelSet = 'avx512' | 'avx2' | 'plain' | 'neon';

/** The addon: tfjs-node's binding (executeOp ...) and what native/ at the root adds to it. */
export interface Binding {
  readonly TF_Version: string;
  readonly TF_FLOAT: number;
  readonly TF_INT32: number;
  readonly TF_INT64: number;
  readonly TF_BOOL: number;
  readonly TF_UINT8: number;
  readonly TF_ATTR_STRING: number;
  readonly TF_ATTR_INT: number;
  readonly TF_ATTR_FLOAT: number;
  readonly TF_ATTR_BOOL: number;
  readonly TF_ATTR_TYPE: number;
  readonly TF_ATTR_SHAPE: number;
  executeOp(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly number[],
    outputs: number,
  ): TensorMetadata[];
  createTensor(shape: readonly number[], dtype: number, values: ArrayBufferView): number;
  deleteTensor(id: number): void;
  tensorDataSync(id: number): ArrayBufferView;
  getNumOfTensors(): number;
  isUsingGpuDevice(): boolean;
  /** Adds a serialized tensorflow.FunctionDef; it runs by its name like any operation. */
  addFunction(bytes: Uint8Array): void;
  removeFunction(name: string): void;
  /** A serialized tensorflow.OpList. */
  opDefinitions(): Uint8Array;
  devices(): string[];
  /** The instruction set that the engine's own operations are computed with. */
  kernelSet(): KernelSet;
  /** Groups of processes (native/shared-group.h), by the number that operations know them by. */
  joinSharedGroup(path: string, rank: number, size: number, bufferBytes: number, timeoutMs: number): number;
  rejoinSharedGroup(id: number, path: string, rank: number, size: number, bufferBytes: number, timeoutMs: number): void;
  sharedGroupBarrier(id: number): Promise<void>;
  abortSharedGroup(id: number, reason: string): void;
  /** '' where none is known. */
  sharedGroupFailure(id: number): string;
  /** @param muted 1: sums are the rank's own values; 0: they are exchanged */
  muteSharedGroup(id: number, muted: 0 | 1): void;
  /** Spent in sums so far, ms; the part in which other ranks were waited for. */
  sharedGroupTimes(id: number): [number, number];
  closeSharedGroup(id: number): void;
}

/** What the backend keeps of a tensor: a handle of TensorFlow's, or values not yet uploaded. */
export interface TensorData {
  shape: number[];
  dtype: number;
  id: number;
  values: ArrayBufferView | null;
  refCount: number;
}

export interface TensorflowBackend extends KernelBackend {
  binding: Binding;
  readonly isUsingGpuDevice: boolean;
  readonly tensorMap: {
    get(dataId: object): TensorData;
    set(dataId: object, data: TensorData): void;
    has(dataId: object): boolean;
  };
  executeSingleOutput(name: string, attributes: readonly OpAttribute[], inputs: readonly TensorInfo[]): TfTensor;
  executeMultipleOutputs(
    name: string,
    attributes: readonly OpAttribute[],
    inputs: readonly TensorInfo[],
    outputs: number,
  ): TfTensor[];
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  createOutputTensor(metadata: TensorMetadata): TfTensor;
}

export interface EngineBuild {
  readonly addon: string;
  readonly variant: 'cpu' | 'cuda';
  readonly tensorflow: string;
}

/** The built engine in the user's cache, or null. */
export async function findEngineBuild(variant?: 'cpu' | 'cuda'): Promise<EngineBuild | null> {
  const path = pathToFileURL(join(projectRoot, 'scripts', 'engine', 'location.mjs')).href;
  const location = (await import(path)) as {
    findBestEngine(): EngineBuild | null;
    findEngine(variant: 'cpu' | 'cuda'): EngineBuild | null;
  };
  return variant ? location.findEngine(variant) : location.findBestEngine();
}

let backend: TensorflowBackend | undefined;

/** The running TensorFlow backend. @throws Error where another engine runs */
export function tensorflow(): TensorflowBackend {
  if (!backend) throw new Error('The TensorFlow engine does not run in this process');
  return backend;
}

/** Loads the addon and makes its backend the one that tfjs computes with. */
export async function loadTensorflow(build: EngineBuild, threads: number): Promise<TensorflowBackend> {
  prepareEnvironment(threads);
  addRemovedUtilities();
  const binding = require(build.addon) as Binding;
  const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node/dist/nodejs_kernel_backend') as {
    NodeJSKernelBackend: new (binding: Binding, packageName: string) => TensorflowBackend;
  };
  require('@tensorflow/tfjs-node/dist/register_all_kernels');
  const made = new NodeJSKernelBackend(
    binding,
    build.variant === 'cuda' ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node',
  );
  tf.registerBackend('tensorflow', () => made, 3);
  await tf.setBackend('tensorflow');
  backend = made;
  return made;
}

/** TensorFlow reads these once, while the addon is loaded. */
function prepareEnvironment(threads: number): void {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
}

/** tfjs-node calls two functions that Node 23 removed from `util`. */
function addRemovedUtilities(): void {
  const module = util as unknown as Record<string, unknown>;
  module['isNullOrUndefined'] ??= (value: unknown) => value === null || value === undefined;
  module['isArray'] ??= Array.isArray;
}
