/**
 * What an ONNX operator is to the engine: one `Operator` per entry of the standard, gathered in `registry.ts`.
 *
 * Two kinds of values flow through a network. *Host* values are exact JavaScript data of any ONNX type: constants,
 * shapes, the integer arithmetic round them. *Device* values are tfjs tensors (float32, int32 or bool), differentiable.
 * A node all of whose inputs are host values runs its `host` form if it has one; every other node runs its `device`
 * form, host inputs being uploaded.
 */
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { DataType, Graph, TensorType } from '../ir/types.ts';
import type { SharedBatch } from '../tensor/nn.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { ChannelRule } from './channels/rule.ts';

export type Value =
  | { readonly kind: 'host'; readonly value: HostTensor }
  | { readonly kind: 'device'; readonly dtype: DataType; readonly tensor: TfTensor };

/** How a value of rank >= 3 lies in memory: in ONNX's order [n, c, ...], or with channels last [n, ..., c]. */
export type Layout = 'onnx' | 'channels-last';

/** What a node's device form may use while it runs. */
export interface RunContext extends NodeInfo {
  /** Layout chosen by the layout pass for the node: 'channels-last' only where `layout` allows it. */
  readonly layout: Layout;
  /** ONNX axis (negative allowed) of a value of this rank -> axis in the node's layout. */
  axis(onnxAxis: number, rank: number): number;
  /** Number of inputs given (omitted ones included). */
  readonly inputCount: number;
  has(index: number): boolean;
  /**
   * The input as a device tensor in the node's layout. Host values are uploaded; int64 beyond int32's range is an
   * error.
   */
  tensor(index: number): TfTensor;
  /**
   * A weight in the physical layout that `weightLayout` asks for: `perm` of its ONNX order. The network stores it so
   * where it can.
   */
  weight(index: number, perm: readonly number[]): TfTensor;
  /**
   * The input as exact host data, in ONNX order. Reading a device value waits for it, and makes a training step that is
   * being compiled run eagerly.
   */
  host(index: number): HostTensor;
  /** As `host`, for small integer tensors: plain numbers. */
  hostInts(index: number): number[];
  /** Shape of the input in ONNX order, without computing or moving anything. */
  dims(index: number): readonly number[];
  /** Logical ONNX element type of an input. */
  dtype(index: number): DataType;
  /**
   * Training behaviour (Dropout, BatchNormalization): a training run, and the node lies on a path from a trained weight
   * to an output.
   */
  readonly training: boolean;
  /** The replicas that each hold a share of the batch: statistics are those of the whole. null: there are none. */
  readonly sharedBatch: SharedBatch | null;
  /**
   * Uniform [0, 1) noise of this shape: seeded, different in every training step, and an input of the compiled step
   * rather than a constant in it.
   */
  uniform(shape: readonly number[]): TfTensor;
  normal(shape: readonly number[]): TfTensor;
  /** Training BatchNormalization: the new running statistics of the initializer behind input `index`. */
  updateState(index: number, value: TfTensor): void;
  /**
   * Call it before a loop's first round, and the function it returns before every round. That function throws where the
   * run limits its loops (RunOptions.loops) and this loop exceeds the limit.
   */
  loopWatch(): () => void;
  /** Runs a subgraph attribute (If, Loop, Scan) with the surrounding values in scope. */
  subgraph(graph: Graph, feeds: ReadonlyMap<string, Value>): Value[];
}

/**
 * How the layout pass treats an operator.
 * - `channels-last`: computes natively with channels last (Conv, pooling, BatchNormalization...); `data` lists the
 * inputs and outputs of
 *   image-like form [n, c, ...]; all other inputs are given as in ONNX.
 * - `follows`: computes in whatever layout its inputs have (elementwise; axis attributes through `ctx.axis`). The pass
 * gives all inputs
 *   of rank >= 1 the same layout: in channels-last, operands of lower rank are first expanded to the output's rank.
 * - `onnx`: needs ONNX order.
 */
export type LayoutRule =
  | { readonly kind: 'channels-last'; readonly inputs: readonly number[]; readonly outputs: readonly number[] }
  | { readonly kind: 'follows'; readonly inputs?: readonly number[] } // inputs that follow; default all
  | { readonly kind: 'onnx' };

/**
 * How calculus treats an operator's device form. `none`: no gradient defined for any input (e.g. NonZero); `zero`: zero
 * almost everywhere.
 */
export type Differentiability =
  | { readonly kind: 'full' } // for every float input
  | { readonly kind: 'inputs'; readonly inputs: readonly number[] } // for these only
  | { readonly kind: 'zero' }
  | { readonly kind: 'none'; readonly reason: string };

export interface Operator {
  readonly type: string;
  /** '' for ONNX's own domain, else e.g. 'com.microsoft'. */
  readonly domain: string;
  /**
   * Opset versions this entry covers, inclusive; `until` absent: to the newest. Several entries of one type may split
   * the range.
   */
  readonly since: number;
  readonly until?: number;
  readonly layout: LayoutRule;
  readonly differentiability: Differentiability;
  /** Output types from input types. Throws `GraphError` where the inputs contradict each other. */
  infer(info: NodeInfo): Inferred[];
  /**
   * Exact form on host data; used for constants and shape arithmetic. Absent where only a device form makes sense
   * (Conv...).
   */
  host?(inputs: readonly (HostTensor | null)[], info: NodeInfo): HostTensor[];
  /** Differentiable form on the engine. Absent where only exact host data make sense (strings, Shape...). */
  device?(ctx: RunContext): (TfTensor | Value)[];
  /** Which inputs are weights in the sense of compression, and the physical layout each wants. */
  readonly weights?: readonly WeightRole[];
  /** Multiply-accumulates of one run, given concrete shapes; absent: 0. */
  macs?(info: NodeInfo, outputs: readonly TensorType[]): number;
  /** Which axes of inputs and outputs are the same channels; absent: what it reads keeps all of them. */
  readonly channels?: ChannelRule;
  /** How the operator quantizes to int8; absent: stays float. */
  readonly quantization?: QuantizationRole;
}

export interface WeightRole {
  readonly input: number;
  readonly kind: 'kernel' | 'bias' | 'scale' | 'embedding' | 'running-mean' | 'running-variance' | 'slope';
  /**
   * Physical layout inside the engine, as a permutation of ONNX's axes (given the weight's rank); identity where
   * absent.
   */
  layout?(info: NodeInfo): readonly number[];
  /** Output-channel axis in ONNX order, for per-channel quantization and per-layer pruning; null: none. */
  outputAxis?(info: NodeInfo): number | null;
}

export type QuantizationRole =
  /**
   * Computes in integers in onnxruntime when its inputs and output are quantized. `inputs`: activations to quantize;
   * `bias`: int32.
   */
  | {
      readonly kind: 'compute';
      readonly activations: readonly number[];
      readonly kernel: number | null;
      readonly bias: number | null;
    }
  /** Moves data without arithmetic: the output has the input's scale (Reshape, MaxPool, Transpose...). */
  | { readonly kind: 'passes-through' };
