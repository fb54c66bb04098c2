/** What an operator sees while its node runs. */
import { NodeView } from '../ir/node-info.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { DataType, Graph } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Layout, RunContext, Value } from '../operators/operator.ts';
import { resolveAxis } from '../operators/shapes.ts';
import * as nn from '../tensor/nn.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { takesLayout } from './layout.ts';
import type { Instruction } from './program.ts';
import type { RunState } from './run-state.ts';
import type { Slot } from './slot.ts';

/** The scope that a node runs in. */
export interface NodeScope {
  readonly run: RunState;
  /** @throws Error where no value of this name exists yet. */
  get(name: string): Slot;
  /** Runs a body with these values for its inputs. */
  subgraph(graph: Graph, feeds: ReadonlyMap<string, Value>): Value[];
}

export class NodeContext extends NodeView implements RunContext {
  readonly layout: Layout;
  readonly training: boolean;
  readonly sharedBatch: nn.SharedBatch | null;
  private readonly instruction: Instruction;
  private readonly slots: readonly (Slot | null)[];
  private readonly scope: NodeScope;

  constructor(instruction: Instruction, slots: readonly (Slot | null)[], scope: NodeScope) {
    super(instruction.node, instruction.opset, {
      typeOf: (name) => {
        const slot = scope.get(name);
        return { dtype: slot.dtype, shape: slot.dims };
      },
      constantOf: (name) => {
        const slot = scope.get(name);
        return slot.isHost ? slot.host() : null;
      },
      elementsOf: () => null,
    });
    this.layout = instruction.layout;
    this.training = scope.run.training && instruction.trained;
    this.sharedBatch = scope.run.sharedBatch;
    this.instruction = instruction;
    this.slots = slots;
    this.scope = scope;
  }

  get inputCount(): number {
    return this.slots.length;
  }

  has(index: number): boolean {
    return this.slots[index] != null;
  }

  axis(onnxAxis: number, rank: number): number {
    const axis = resolveAxis(onnxAxis, rank);
    if (this.layout === 'onnx' || rank < 3 || axis === 0) return axis;
    return axis === 1 ? rank - 1 : axis - 1;
  }

  tensor(index: number): TfTensor {
    const slot = this.slot(index);
    const rule = this.instruction.operator.layout;
    if (this.layout === 'onnx' || !takesLayout(rule, index)) return slot.tensor('onnx');
    return rule.kind === 'follows' ? slot.expanded(this.rank) : slot.tensor('channels-last');
  }

  weight(index: number, perm: readonly number[]): TfTensor {
    return this.slot(index).permuted(perm);
  }

  host(index: number): HostTensor {
    return this.slot(index).host();
  }

  hostInts(index: number): number[] {
    return hostNumbers(this.host(index));
  }

  dims(index: number): readonly number[] {
    return this.slot(index).dims;
  }

  dtype(index: number): DataType {
    return this.slot(index).dtype;
  }

  uniform(shape: readonly number[]): TfTensor {
    return nn.statelessUniform(shape, this.scope.run.seed, this.scope.run.salts.take());
  }

  normal(shape: readonly number[]): TfTensor {
    return nn.statelessNormal(shape, this.scope.run.seed, this.scope.run.salts.take());
  }

  updateState(index: number, value: TfTensor): void {
    const name = this.node.inputs[index] ?? '';
    if (this.scope.run.state.has(name)) this.scope.run.stateUpdates.set(name, value);
  }

  loopWatch(): () => void {
    return this.scope.run.loopWatch();
  }

  subgraph(graph: Graph, feeds: ReadonlyMap<string, Value>): Value[] {
    return this.scope.subgraph(graph, feeds);
  }

  private slot(index: number): Slot {
    const slot = this.slots[index];
    if (!slot) throw new Error(`${this.node.opType} asks for input ${index}, which is not given`);
    return slot;
  }

  /** Highest rank among the inputs that follow the layout. */
  private get rank(): number {
    let rank = 0;
    this.slots.forEach((slot, i) => {
      if (slot && takesLayout(this.instruction.operator.layout, i)) rank = Math.max(rank, slot.dims.length);
    });
    return rank;
  }
}
