/** The context in which one ONNX node is written in TensorFlow's operators. */
import { itemOf } from '../../../ir/checked-access.ts';
import { LatheError } from '../../../../errors.ts';
import { nodeLabel } from '../../../ir/graph-error.ts';
import type { TypeTable } from '../../../graph/infer.ts';
import { hostNumbers } from '../../../ir/tensor-data.ts';
import type { Dim, Node } from '../../../ir/types.ts';
import type { HostTensor } from '../../../ir/host-tensor.ts';
import type { NodeInfo } from '../../../ir/node-info.ts';
import { type TfAttribute, type TfGraph, type TfType, tfType, typeAttribute } from './tf-graph.ts';

/** Writes the node and returns the references of its outputs. */
export type Writer = (ctx: WriteContext) => string | readonly string[];
export type Writers = Readonly<Record<string, Writer>>;

export class WriteContext {
  readonly node: Node;
  readonly info: NodeInfo;
  readonly tf: TfGraph;
  private readonly table: TypeTable;
  private readonly reference: (name: string) => string;

  constructor(node: Node, table: TypeTable, tf: TfGraph, reference: (name: string) => string) {
    this.node = node;
    this.info = table.info(node);
    this.tf = tf;
    this.table = table;
    this.reference = reference;
  }

  get label(): string {
    return this.node.outputs[0] || this.node.opType;
  }

  has(index: number): boolean {
    return Boolean(this.node.inputs[index]);
  }

  input(index: number): string {
    return this.reference(itemOf(this.node.inputs, index, 'the list of inputs'));
  }

  get inputs(): string[] {
    return this.node.inputs.map((name) => this.reference(name));
  }

  shape(index = 0): readonly Dim[] | null {
    return this.info.types[index]?.shape ?? null;
  }

  rank(index = 0): number {
    return this.shape(index)?.length ?? this.refuse(`the rank of its input ${index} is not known`);
  }

  outputShape(index = 0): readonly Dim[] | null {
    return this.table.typeOf(this.node.outputs[index] ?? '')?.shape ?? null;
  }

  type(index = 0): TfType {
    return tfType(this.info.types[index]?.dtype ?? 'float32');
  }

  constant(index: number): HostTensor | null {
    return this.info.constant(index);
  }

  /** Constant numbers that the conversion itself needs. */
  numbers(index: number, what: string): number[] {
    const constant = this.info.constant(index);
    return constant ? hostNumbers(constant) : this.refuse(`its ${what} are computed while the model runs`);
  }

  /** As `numbers`, of which the first is meant: scalars, and vectors of one. */
  number(index: number, what: string): number {
    return itemOf(this.numbers(index, what), 0, what);
  }

  /** An axis attribute or value, counted from the front. */
  axis(value: number, rank = this.rank()): number {
    return value < 0 ? value + rank : value;
  }

  /**
   * Axes of Squeeze, reductions...: an attribute in older opsets, an input in newer ones; null where neither is given.
   */
  axes(rank = this.rank()): number[] | null {
    const axes = this.info.ints('axes') ?? (this.has(1) ? this.numbers(1, 'axes') : null);
    return axes && axes.map((axis) => this.axis(axis, rank));
  }

  /** A node of TensorFlow's with the element type of the first input. */
  op(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, TfAttribute>> = {},
    type: TfType = this.type(),
  ): string {
    return this.tf.op(op, inputs, { T: typeAttribute(type), ...attributes }, this.label);
  }

  refuse(reason: string): never {
    const place = nodeLabel(this.node);
    throw new LatheError('unsupported-operator', `${place} has no form in TF.js: ${reason}`, [
      { path: place, message: reason },
    ]);
  }
}
