import { inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, makeNode, removeDeadNodes, removeUnusedInitializers, usedNames } from '../../ir/edit.ts';
import { inferShapes, type TypeTable } from '../infer.ts';
import { BITS, elementCount, fromHost, hostNumbers, int64Host } from '../../ir/tensor-data.ts';
import { transposeTensor } from '../../ir/transpose-tensor.ts';
import type { Attribute, Graph, Model, Node, Tensor } from '../../ir/types.ts';
import {
  constantForBase,
  dropBaseAxes,
  isPlain,
  materialization,
  NEW_AXIS,
  plainView,
  sameAxes,
  transposeView,
  unsqueezeView,
  type AxisView,
} from './axis-views.ts';

/**
 * Moves transposes (and unsqueezes) down through operators that work in any order of axes, until they cancel or meet an
 * operator that needs one. Models from channels-last formats lose most of their transposes this way. Returns the same
 * model where nothing is gained.
 */
export function sinkTransposes(model: Model): Model {
  if (!model.graph.nodes.some(({ opType }) => opType === 'Transpose')) return model;
  const graph = new Sinker(model, inferShapes(model)).graph();
  return transposes(graph) < transposes(model.graph) ? { ...model, graph } : model;
}

const transposes = (graph: Graph): number =>
  graph.nodes.filter(({ opType, domain }) => opType === 'Transpose' && domain === '').length;

const UNARY: ReadonlySet<string> = new Set([
  'Relu',
  'LeakyRelu',
  'Sigmoid',
  'Tanh',
  'Elu',
  'Selu',
  'Celu',
  'Softplus',
  'Softsign',
  'HardSigmoid',
  'HardSwish',
  'ThresholdedRelu',
  'Clip',
  'Gelu',
  'Mish',
  'Erf',
  'Exp',
  'Log',
  'Sqrt',
  'Neg',
  'Abs',
  'Sign',
  'Floor',
  'Ceil',
  'Round',
  'Reciprocal',
  'Sin',
  'Cos',
  'Cast',
  'Identity',
  'Not',
]);
const BROADCASTING: ReadonlySet<string> = new Set([
  'Add',
  'Sub',
  'Mul',
  'Div',
  'Pow',
  'Mod',
  'Min',
  'Max',
  'Sum',
  'Mean',
  'Equal',
  'Greater',
  'Less',
  'GreaterOrEqual',
  'LessOrEqual',
  'And',
  'Or',
  'Xor',
  'Where',
  'PRelu',
]);
const REDUCTIONS: ReadonlySet<string> = new Set([
  'ReduceMean',
  'ReduceSum',
  'ReduceMax',
  'ReduceMin',
  'ReduceProd',
  'ReduceL1',
  'ReduceL2',
  'ReduceSumSquare',
]);
const ALONG_AXIS: ReadonlySet<string> = new Set(['Softmax', 'LogSoftmax', 'Concat']);

/** New nodes go without a name: one made from an output's could be some other node's. */
const UNNAMED = { name: '' };

class Sinker {
  private readonly model: Model;
  private readonly table: TypeTable;
  private readonly fresh: (base: string) => string;
  private readonly views = new Map<string, AxisView>();
  /** Names that hold a view's value already, by base and axes. */
  private readonly made = new Map<string, string>();
  private readonly added = new Map<string, Tensor>();
  private readonly nodes: Node[] = [];
  private readonly opset: number;

  constructor(model: Model, table: TypeTable) {
    this.model = model;
    this.table = table;
    this.fresh = freshNames(model);
    this.opset = model.opsets.get('') ?? 1;
  }

  graph(): Graph {
    const { graph } = this.model;
    for (const node of graph.nodes) if (node.domain !== '' || !this.sink(node)) this.keep(node);
    for (const { name } of graph.outputs) if (this.views.has(name)) this.materialize(name, true);
    const initializers = new Map([...graph.initializers, ...this.added]);
    return removeUnusedInitializers(
      removeDeadNodes({
        ...graph,
        nodes: this.nodes,
        initializers,
        valueInfos: graph.valueInfos.filter(({ name }) => !this.views.has(name)),
      }),
    );
  }

  /** Keeps a node; its inputs are put into the order that it expects. */
  private keep(node: Node): void {
    const outer = [...usedNames(node)].filter((name) => !node.inputs.includes(name));
    for (const name of outer) if (this.views.has(name)) this.materialize(name, true);
    const inputs = node.inputs.map((name) => this.use(name));
    this.nodes.push(inputs.every((name, i) => name === node.inputs[i]) ? node : { ...node, inputs });
  }

  /** The name of a value in its own order of axes. */
  private use(name: string): string {
    const view = this.views.get(name);
    if (!view) return name;
    return isPlain(view) ? view.base : this.materialize(name, false);
  }

  private materialize(name: string, underThisName: boolean): string {
    const view = this.views.get(name);
    if (!view) throw new Error(`"${name}" is no view of another value: it needs no nodes`);
    const key = `${view.base}|${view.axes.join()}`;
    const known = isPlain(view) ? view.base : this.made.get(key);
    if (known === name || (known !== undefined && !underThisName)) return known;
    if (known !== undefined) this.nodes.push(makeNode('Identity', [known], [name], {}, UNNAMED));
    else this.build(view, name);
    this.made.set(key, name);
    return name;
  }

  private build(view: AxisView, name: string): void {
    const { perm, newAxes } = materialization(view);
    const middle = newAxes.length === 0 ? name : perm === null ? view.base : this.fresh(`${name}_transposed`);
    if (perm !== null) this.nodes.push(makeNode('Transpose', [view.base], [middle], { perm }, UNNAMED));
    if (newAxes.length > 0) this.nodes.push(this.axesNode('Unsqueeze', middle, name, newAxes));
  }

  private sink(node: Node): boolean {
    switch (node.opType) {
      case 'Transpose':
        return this.transpose(node);
      case 'Unsqueeze':
        return this.unsqueeze(node);
      case 'Squeeze':
        return this.squeeze(node);
      case 'Pad':
        return this.pad(node);
      case 'Slice':
        return this.slice(node);
    }
    if (UNARY.has(node.opType)) return this.unary(node);
    if (BROADCASTING.has(node.opType)) return this.broadcast(node);
    if (REDUCTIONS.has(node.opType)) return this.reduce(node);
    return ALONG_AXIS.has(node.opType) && this.alongAxis(node);
  }

  private transpose(node: Node): boolean {
    const attribute = node.attributes.get('perm');
    const view =
      this.viewOf(inputName(node)) ??
      (attribute?.kind === 'ints' ? plainView(inputName(node), attribute.value.length) : null);
    if (!view) return false;
    const perm = attribute?.kind === 'ints' ? attribute.value : view.axes.map((_, i) => view.axes.length - 1 - i);
    if (perm.length !== view.axes.length) return false;
    this.views.set(outputName(node), transposeView(view, perm));
    return true;
  }

  private unsqueeze(node: Node): boolean {
    const view = this.viewOf(inputName(node));
    const axes = this.axesOf(node);
    if (!view || !axes || view.axes.length < 2) return false; // vectors and scalars: shape arithmetic
    const rank = view.axes.length + axes.length;
    this.views.set(
      outputName(node),
      unsqueezeView(
        view,
        axes.map((axis) => (axis < 0 ? axis + rank : axis)),
      ),
    );
    return true;
  }

  private squeeze(node: Node): boolean {
    const view = this.views.get(inputName(node));
    const given = this.axesOf(node);
    if (!view || !given) return false;
    const axes = given.map((axis) => (axis < 0 ? axis + view.axes.length : axis));
    const gone = axes.map((axis) => view.axes[axis] ?? NEW_AXIS).filter((axis) => axis !== NEW_AXIS);
    const rest: AxisView = { base: view.base, axes: view.axes.filter((_, i) => !axes.includes(i)) };
    if (gone.length === 0) this.views.set(outputName(node), rest);
    else {
      const base = this.fresh(`${outputName(node)}_squeezed`);
      this.nodes.push(
        this.axesNode(
          'Squeeze',
          view.base,
          base,
          gone.sort((a, b) => a - b),
        ),
      );
      this.views.set(outputName(node), { ...dropBaseAxes(rest, gone), base });
    }
    return true;
  }

  private unary(node: Node): boolean {
    const view = this.views.get(inputName(node));
    if (!view || node.inputs.slice(1).some((name) => this.views.has(name))) return false;
    return this.emit(node, view, [view.base, ...node.inputs.slice(1)]);
  }

  private broadcast(node: Node): boolean {
    const given = node.inputs.map((name) => this.views.get(name));
    const view = given.reduce<AxisView | undefined>(
      (best, next) => (next && (!best || next.axes.length > best.axes.length) ? next : best),
      undefined,
    );
    if (!view) return false;
    const inputs: string[] = [];
    for (const [i, name] of node.inputs.entries()) {
      const input = given[i] ? (sameAxes(given[i], view) ? given[i].base : null) : this.constantInBase(name, view);
      if (input === null) return false;
      inputs.push(input);
    }
    return this.emit(node, view, inputs);
  }

  /** A constant operand rearranged to broadcast with the base instead of the value; null where it cannot. */
  private constantInBase(name: string, view: AxisView): string | null {
    const tensor = this.model.graph.initializers.get(name);
    if (!tensor || BITS[tensor.dtype] < 8) return null;
    if (tensor.dims.length <= 1 && elementCount(tensor.dims) === 1) return name;
    const fit = constantForBase(view, tensor.dims);
    if (!fit) return null;
    const made = `${name}|${fit.perm.join()}|${fit.padded.join()}`;
    const known = this.made.get(made);
    if (known) return known;
    const moved = transposeTensor({ ...tensor, dims: fit.padded }, fit.perm, this.fresh(`${name}_reordered`));
    this.added.set(moved.name, moved);
    this.made.set(made, moved.name);
    return moved.name;
  }

  private alongAxis(node: Node): boolean {
    const views = node.inputs.flatMap((name) => this.views.get(name) ?? []);
    const [view] = views;
    const attribute = node.attributes.get('axis');
    if (!view || (this.opset < 13 && node.opType !== 'Concat')) return false;
    if (views.length < node.inputs.length || !views.every((other) => sameAxes(other, view))) return false;
    const axis = attribute?.kind === 'int' ? attribute.value : -1;
    const inBase = view.axes[axis < 0 ? axis + view.axes.length : axis];
    if (inBase === undefined || inBase === NEW_AXIS) return false;
    return this.emit(
      node,
      view,
      views.map(({ base }) => base),
      { axis: { kind: 'int', value: inBase } },
    );
  }

  private reduce(node: Node): boolean {
    const view = this.views.get(inputName(node));
    const axes = this.axesOf(node);
    if (!view || !axes || axes.length === 0) return false;
    const positions = axes.map((axis) => (axis < 0 ? axis + view.axes.length : axis));
    const inBase = positions.map((axis) => view.axes[axis] ?? NEW_AXIS);
    if (inBase.includes(NEW_AXIS)) return false;
    const keep = node.attributes.get('keepdims');
    const keeps = !(keep?.kind === 'int' && keep.value === 0);
    const result = keeps ? view : dropBaseAxes(view, inBase);
    const asInput = node.inputs.length > 1;
    return this.emit(
      node,
      result,
      asInput ? [view.base, this.int64s(inBase)] : [view.base],
      asInput ? {} : { axes: { kind: 'ints', value: inBase } },
    );
  }

  private pad(node: Node): boolean {
    const view = this.views.get(inputName(node));
    const pads = this.numbers(node.inputs[1]);
    if (!view || !pads || node.inputs[3] || pads.length !== 2 * view.axes.length) return false;
    const rank = view.axes.length;
    const baseRank = view.axes.filter((axis) => axis !== NEW_AXIS).length;
    const moved = new Array<number>(2 * baseRank).fill(0);
    for (const [i, axis] of view.axes.entries()) {
      if (axis === NEW_AXIS && (pads[i] !== 0 || pads[i + rank] !== 0)) return false;
      if (axis === NEW_AXIS) continue;
      moved[axis] = pads[i] ?? 0;
      moved[axis + baseRank] = pads[i + rank] ?? 0;
    }
    return this.emit(node, view, [view.base, this.int64s(moved), ...node.inputs.slice(2)]);
  }

  private slice(node: Node): boolean {
    const view = this.views.get(inputName(node));
    const starts = this.numbers(node.inputs[1]);
    const axes = node.inputs[3] ? this.numbers(node.inputs[3]) : starts?.map((_, i) => i);
    if (!view || !axes || node.inputs.length < 3) return false;
    const inBase = axes.map((axis) => view.axes[axis < 0 ? axis + view.axes.length : axis] ?? NEW_AXIS);
    if (inBase.includes(NEW_AXIS)) return false;
    return this.emit(node, view, [
      view.base,
      inputName(node, 1),
      inputName(node, 2),
      this.int64s(inBase),
      ...node.inputs.slice(4),
    ]);
  }

  /** Applies the node to the bases of its inputs; its output becomes the same view on the result. */
  private emit(
    node: Node,
    view: AxisView,
    inputs: readonly string[],
    changed: Readonly<Record<string, Attribute>> = {},
  ): boolean {
    const base = this.fresh(`${outputName(node)}_base`);
    this.nodes.push({
      ...node,
      inputs,
      outputs: [base],
      attributes: new Map([...node.attributes, ...Object.entries(changed)]),
    });
    this.views.set(outputName(node), { base, axes: view.axes });
    return true;
  }

  private viewOf(name: string): AxisView | null {
    const rank = this.table.typeOf(name)?.shape?.length;
    return this.views.get(name) ?? (rank === undefined ? null : plainView(name, rank));
  }

  /** Constant axes of Squeeze, Unsqueeze and reductions, in either of their forms. */
  private axesOf(node: Node): readonly number[] | null {
    const attribute = node.attributes.get('axes');
    return attribute?.kind === 'ints' ? attribute.value : this.numbers(node.inputs[1]);
  }

  private numbers(name: string | undefined): number[] | null {
    const constant = name ? this.table.constantOf(name) : null;
    return constant && hostNumbers(constant);
  }

  private axesNode(opType: string, input: string, output: string, axes: readonly number[]): Node {
    return this.opset >= 13
      ? makeNode(opType, [input, this.int64s(axes)], [output], {}, UNNAMED)
      : makeNode(opType, [input], [output], { axes }, UNNAMED);
  }

  private int64s(values: readonly number[]): string {
    const key = `int64|${values.join()}`;
    const known = this.made.get(key);
    if (known) return known;
    const name = this.fresh(`axes_${values.join('_')}`);
    this.added.set(name, fromHost(name, int64Host(values)));
    this.made.set(key, name);
    return name;
  }
}
