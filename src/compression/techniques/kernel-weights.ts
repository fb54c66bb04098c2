/**
 * The weights that pruning and clustering change: the operators' constant kernels, anywhere in the graph and its
 * subgraphs.
 */
import { inputName } from '../ir/checked-access.ts';
import { constantTensor } from '../ir/constants.ts';
import { mapSubgraphs, subgraphs } from '../ir/edit.ts';
import { NodeView, type InputFacts } from '../ir/node-info.ts';
import { elementCount } from '../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../ir/types.ts';
import type { WeightRole } from '../operators/operator.ts';
import { findOperator } from '../operators/registry.ts';

export interface KernelWeight {
  /** Initializer, or output of the Constant node. */
  readonly name: string;
  readonly tensor: Tensor;
  /** Names that layer filters match: its own and those of the nodes that use it. */
  readonly names: readonly string[];
  /** Axis, in ONNX order, along which products are summed (input channels); null if unknown. */
  readonly reductionAxis: number | null;
  /** Axis, in ONNX order, of the output channels; null if unknown. */
  readonly outputAxis: number | null;
  /** The tensor or the Constant node in the graph. */
  readonly place: Tensor | Node;
}

export type WeightKind = WeightRole['kind'];

const KERNELS: ReadonlySet<WeightKind> = new Set(['kernel']);
const FLOATS: ReadonlySet<string> = new Set(['float32', 'float64', 'float16', 'bfloat16']);
/** Operators between a weight and its consumer that do not change its values. */
const CARRIERS: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze']);

interface Constant {
  readonly tensor: Tensor;
  readonly place: Tensor | Node;
}

/** The constants and producing nodes visible inside a graph, including those of the enclosing graphs. */
interface Scope {
  readonly constants: ReadonlyMap<string, Constant>;
  readonly producers: ReadonlyMap<string, Node>;
}

/** In the order of first use; a weight that several nodes share occurs once. */
export function kernelWeights(model: Model, kinds: ReadonlySet<WeightKind> = KERNELS): KernelWeight[] {
  const search: Search = { model, kinds, found: new Map() };
  visitGraph(model.graph, { constants: new Map(), producers: new Map() }, search);
  return [...search.found.values()];
}

interface Search {
  readonly model: Model;
  readonly kinds: ReadonlySet<WeightKind>;
  readonly found: Map<Tensor | Node, KernelWeight>;
}

function visitGraph(graph: Graph, outer: Scope, search: Search): void {
  const scope = innerScope(graph, outer);
  for (const node of graph.nodes) {
    visitNode(node, scope, search);
    for (const { graph: inner } of subgraphs(node)) visitGraph(inner, scope, search);
  }
}

function innerScope(graph: Graph, outer: Scope): Scope {
  const constants = new Map(outer.constants);
  const producers = new Map(outer.producers);
  for (const [name, tensor] of graph.initializers) constants.set(name, { tensor, place: tensor });
  for (const node of graph.nodes) {
    for (const output of node.outputs) producers.set(output, node);
    const tensor = constantTensor(node);
    if (tensor) constants.set(tensor.name, { tensor, place: node });
  }
  return { constants, producers };
}

function visitNode(node: Node, scope: Scope, { model, kinds, found }: Search): void {
  const opset = model.opsets.get(node.domain) ?? 1;
  for (const role of findOperator(node.domain, node.opType, opset)?.weights ?? []) {
    const input = node.inputs[role.input];
    const source = kinds.has(role.kind) && input ? trace(input, scope) : null;
    if (!source || !FLOATS.has(source.tensor.dtype) || elementCount(source.tensor.dims) === 0) continue;
    const known = found.get(source.place);
    const names = [...new Set([...(known?.names ?? [source.tensor.name]), node.name, ...node.outputs])];
    const outputAxis = source.direct ? (role.outputAxis?.(new NodeView(node, opset, factsOf(scope))) ?? null) : null;
    const rank = source.tensor.dims.length;
    const axis = known ? known.reductionAxis : reductionAxis(node, outputAxis, rank);
    const given = known ? known.outputAxis : outputAxis !== null && outputAxis < 0 ? outputAxis + rank : outputAxis;
    found.set(source.place, {
      name: source.tensor.name,
      tensor: source.tensor,
      names,
      reductionAxis: axis,
      outputAxis: given,
      place: source.place,
    });
  }
}

/** The constant behind a value; `direct`: not reshaped or transposed on the way. */
function trace(name: string, { constants, producers }: Scope): (Constant & { readonly direct: boolean }) | null {
  let direct = true;
  for (let at = name; ; ) {
    const constant = constants.get(at);
    if (constant) return { ...constant, direct };
    const node = producers.get(at);
    if (!node || node.domain !== '' || !CARRIERS.has(node.opType)) return null;
    if (node.opType !== 'Identity' && node.opType !== 'Cast') direct = false;
    at = inputName(node);
  }
}

function factsOf({ constants }: Scope): InputFacts {
  return {
    typeOf: (name) => {
      const tensor = constants.get(name)?.tensor;
      return tensor ? { dtype: tensor.dtype, shape: tensor.dims } : null;
    },
    constantOf: () => null,
    elementsOf: () => null,
  };
}

/**
 * Conv [out, in, ...], Gemm with transB [out, in]: after the output axis; MatMul [in, out]: before it; ConvTranspose
 * [in, out, ...]: 0.
 */
function reductionAxis(node: Node, outputAxis: number | null, rank: number): number | null {
  if (outputAxis === null || rank < 2) return null;
  const axis = outputAxis < 0 ? outputAxis + rank : outputAxis;
  if (node.opType === 'ConvTranspose') return 0;
  return axis === rank - 1 ? rank - 2 : axis + 1;
}

/** The model with weights replaced, wherever they are; everything else is unchanged. */
export function replaceWeights(model: Model, values: ReadonlyMap<Tensor | Node, Tensor>): Model {
  if (values.size === 0) return model;
  const graph = replaceIn(model.graph, values);
  return graph === model.graph ? model : { ...model, graph };
}

function replaceIn(graph: Graph, values: ReadonlyMap<Tensor | Node, Tensor>): Graph {
  const nodes = graph.nodes.map((node) => {
    const value = values.get(node);
    const own = value
      ? { ...node, attributes: new Map([['value', { kind: 'tensor' as const, value: { ...value, name: '' } }]]) }
      : node;
    return mapSubgraphs(own, (inner) => replaceIn(inner, values));
  });
  const touched = [...graph.initializers.values()].some((tensor) => values.has(tensor));
  const initializers = touched
    ? new Map([...graph.initializers].map(([name, tensor]) => [name, values.get(tensor) ?? tensor]))
    : graph.initializers;
  const same = !touched && nodes.every((node, i) => node === graph.nodes[i]);
  return same ? graph : { ...graph, nodes, initializers };
}
