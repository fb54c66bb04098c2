/**
 * Weights that share their values (Han et al. 2016, arXiv 1510.00149): Gather takes each weight from a codebook, a
 * vector of a few floats, by a code that is computed from constants, for example from packed bits. onnxruntime folds
 * such weights to plain constants when it loads the model. Lathe recognizes them, so that they are counted, exported
 * and changed as weights.
 */
import type { HostTensor } from '../ir/host-tensor.ts';
import { constantTensor } from '../ir/constants.ts';
import { inputName, outputName } from '../ir/checked-access.ts';
import { mapSubgraphs, usedNames, withGraph } from '../ir/edit.ts';
import { Evaluator } from './evaluate.ts';
import { elementCount, fromHost, isFloat, toHost } from '../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../ir/types.ts';

/** Codes have at most 8 bits: a longer vector is not a codebook. */
export const MAX_CLUSTERS = 256;

export interface SharedWeight {
  /** The node whose output is the weight. */
  readonly gather: Node;
  readonly codebook: Tensor;
  /** Integers in the weight's shape. */
  readonly codes: HostTensor;
}

/** Operators that unpack codes. */
const UNPACKING: ReadonlySet<string> = new Set([
  'Cast',
  'BitShift',
  'Add',
  'Reshape',
  'Slice',
  'CumSum',
  'ConstantOfShape',
  'ScatterElements',
  'Identity',
]);
/** Weights per byte of a file, which runs of zeros may reach; a file that claims more is not unpacked. */
const MAX_WEIGHTS_PER_BYTE = 256;

/** Makes clustered weights that `which` selects plain initializers; the same object where there are none. */
export function expandCodebooks(graph: Graph, which: (weight: SharedWeight) => boolean = () => true): Graph {
  return rewrite(graph, NOTHING, (weight) => (which(weight) ? { tensor: expanded(weight), gather: false } : null));
}

/** The model without codebooks. */
export function withoutCodebooks(model: Model): Model {
  return withGraph(model, expandCodebooks(model.graph));
}

/** Unpacks codes to one int32 per weight, for graphs that run many times while their codebooks are trained. */
export function unpackCodes(graph: Graph): Graph {
  return rewrite(graph, NOTHING, ({ gather, codes }) => {
    const name = inputName(gather, 1);
    return {
      tensor: fromHost(name, {
        dtype: 'int32',
        dims: codes.dims,
        data: Int32Array.from(codes.data as ArrayLike<number | bigint>, Number),
      }),
      gather: true,
    };
  });
}

/** Clustered weights of the graph and its subgraphs, by name. */
export function sharedWeights(graph: Graph): ReadonlyMap<string, SharedWeight> {
  const found = new Map<string, SharedWeight>();
  rewrite(graph, NOTHING, (weight) => {
    found.set(outputName(weight.gather), weight);
    return null;
  });
  return found;
}

function expanded({ gather, codebook, codes }: SharedWeight): Tensor {
  const host = toHost(codebook);
  const values = host.data as Float32Array | Float64Array;
  const data =
    values instanceof Float64Array ? new Float64Array(codes.data.length) : new Float32Array(codes.data.length);
  for (let i = 0; i < data.length; i++) data[i] = values[Number(codes.data[i])]!; // hot
  return fromHost(outputName(gather), { dtype: host.dtype, dims: codes.dims, data });
}

type Lookup = (name: string) => Tensor | undefined;
const NOTHING: Lookup = () => undefined;

/** The tensor that replaces a clustered weight, or with `gather` its codes; null: keep the nodes. */
type Replace = (weight: SharedWeight) => { readonly tensor: Tensor; readonly gather: boolean } | null;

function rewrite(graph: Graph, outer: Lookup, replace: Replace): Graph {
  const constants = new Map(
    graph.nodes.flatMap((node): [string, Tensor][] => {
      const tensor = constantTensor(node);
      return tensor ? [[tensor.name, tensor]] : [];
    }),
  );
  const lookup: Lookup = (name) => graph.initializers.get(name) ?? constants.get(name) ?? outer(name);
  const nodes = graph.nodes.map((node) => mapSubgraphs(node, (body) => rewrite(body, lookup, replace)));
  const inner = nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
  const made: Tensor[] = [];
  const unneeded = new Set<Node>();
  const evaluator = new Evaluator(inner, { operators: UNPACKING, maxElements: maxElements(inner), outer: lookup });
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  for (const gather of nodes) {
    const weight = outputs.has(gather.outputs[0] ?? '') ? null : sharedWeight(gather, lookup, evaluator);
    const replaced = weight && replace(weight);
    evaluator.forget();
    if (!replaced || lookup(replaced.tensor.name)) continue;
    made.push(replaced.tensor);
    if (!replaced.gather) unneeded.add(gather);
    evaluator.collectChain(inputName(gather, 1), unneeded);
  }
  return made.length === 0 ? inner : withoutNodes(inner, unneeded, made);
}

function maxElements(graph: Graph): number {
  let bytes = 0;
  for (const tensor of graph.initializers.values()) bytes += tensor.bytes.length;
  return bytes * MAX_WEIGHTS_PER_BYTE;
}

function sharedWeight(node: Node, lookup: Lookup, evaluator: Evaluator): SharedWeight | null {
  if (node.opType !== 'Gather' || node.domain !== '') return null;
  const codebook = lookup(inputName(node));
  if (!codebook || !isFloat(codebook.dtype) || codebook.dims.length !== 1) return null;
  const clusters = elementCount(codebook.dims);
  const codes = clusters <= MAX_CLUSTERS ? evaluator.value(inputName(node, 1)) : null;
  if (!codes || elementCount(codes.dims) <= clusters || !areCodes(codes, clusters)) return null;
  return { gather: node, codebook, codes };
}

function areCodes({ data }: HostTensor, count: number): boolean {
  for (let i = 0; i < data.length; i++) {
    const code = Number(data[i]);
    if (!(code >= 0 && code < count)) return false;
  }
  return true;
}

/** Removes these nodes unless another node reads their outputs, and the initializers that only they read. */
function withoutNodes(graph: Graph, unneeded: ReadonlySet<Node>, made: readonly Tensor[]): Graph {
  const names = new Set(made.map(({ name }) => name));
  const uses = new Map<string, number>();
  const count = (name: string, by: number): void => {
    uses.set(name, (uses.get(name) ?? 0) + by);
  };
  for (const { name } of [...graph.outputs, ...graph.inputs]) count(name, 1);
  for (const node of graph.nodes) for (const name of usedNames(node)) count(name, 1);
  const freed = new Set<string>();
  const gone = new Set<Node>();
  for (const node of [...graph.nodes].reverse()) {
    if (!unneeded.has(node) || node.outputs.some((name) => !names.has(name) && (uses.get(name) ?? 0) > 0)) continue;
    gone.add(node);
    for (const name of usedNames(node)) {
      count(name, -1);
      freed.add(name);
    }
  }
  const kept = [...graph.initializers].filter(([name]) => !freed.has(name) || (uses.get(name) ?? 0) > 0);
  return {
    ...graph,
    nodes: graph.nodes.filter((node) => !gone.has(node)),
    initializers: new Map([...kept, ...made.map((tensor): [string, Tensor] => [tensor.name, tensor])]),
  };
}
