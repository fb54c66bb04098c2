/** Puts codebooks into a model: the nodes that compute a weight come first in the graph that held it as a constant. */
import { constantTensor } from '../../ir/constants.ts';
import { freshNames, mapSubgraphs } from '../../ir/edit.ts';
import { byteLength, elementCount } from '../../ir/tensor-data.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';
import type { Coded } from '../../weights/codebook.ts';
import { storageOf, UNPACKING_OPSET, type Storage } from './storage.ts';
import { Unpacking } from './unpacking.ts';

/** By the initializer or Constant node that holds the weight. */
export type CodedWeights = ReadonlyMap<Tensor | Node, Coded>;

/** Gather with its name and inputs, the codebook's name and shape. */
const CODEBOOK_BYTES = 100;

function storageFor({ codes, values, keepsZeros }: Coded, dims: readonly number[], opset: number): Storage {
  return storageOf(
    { codes, bits: Math.max(1, Math.ceil(Math.log2(elementCount(values.dims)))), dims },
    keepsZeros,
    opset,
  );
}

/** Of the operators that unpack; a file may import none. */
export const opsetOf = (model: Model): number => model.opsets.get('') ?? UNPACKING_OPSET;

/** Whether codes and codebook take less of a file than the weight itself. */
export function isSmaller(coded: Coded, { dtype, dims }: Tensor, opset: number): boolean {
  return storageFor(coded, dims, opset).bytes + coded.values.bytes.length + CODEBOOK_BYTES < byteLength(dtype, dims);
}

export interface Shared {
  readonly model: Model;
  /** Names of codebooks whose zero is that of pruned weights. */
  readonly keepingZeros: readonly string[];
}

export function shareWeights(model: Model, coded: CodedWeights): Shared {
  const sharing: Sharing = { coded, opset: opsetOf(model), fresh: freshNames(model), keepingZeros: [] };
  return { model: { ...model, graph: shareIn(model.graph, sharing) }, keepingZeros: sharing.keepingZeros };
}

interface Sharing {
  readonly coded: CodedWeights;
  readonly opset: number;
  readonly keepingZeros: string[];
  fresh(base: string): string;
}

function shareIn(graph: Graph, sharing: Sharing): Graph {
  const unpacking = new Unpacking(sharing.fresh);
  const gone = new Set<Tensor | Node>();
  for (const [place, tensor] of constantsIn(graph)) {
    const weight = sharing.coded.get(place);
    if (!weight) continue;
    shareOne(weight, tensor, unpacking, sharing);
    gone.add(place);
  }
  const nodes = graph.nodes
    .filter((node) => !gone.has(node))
    .map((node) => mapSubgraphs(node, (body) => shareIn(body, sharing)));
  if (gone.size === 0) return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
  const kept = [...graph.initializers].filter(([, tensor]) => !gone.has(tensor));
  const goneNames = new Set([...graph.initializers].filter(([, tensor]) => gone.has(tensor)).map(([name]) => name));
  return {
    ...graph,
    initializers: new Map([...kept, ...unpacking.tensors.map((tensor): [string, Tensor] => [tensor.name, tensor])]),
    // up to IR version 3, inputs list the initializers as well
    inputs: graph.inputs.filter(({ name }) => !goneNames.has(name)),
    nodes: [...unpacking.nodes, ...nodes],
  };
}

function constantsIn({ initializers, nodes }: Graph): [Tensor | Node, Tensor][] {
  const held = nodes.flatMap((node): [Node, Tensor][] => {
    const tensor = constantTensor(node);
    return tensor ? [[node, tensor]] : [];
  });
  return [...[...initializers.values()].map((tensor): [Tensor, Tensor] => [tensor, tensor]), ...held];
}

function shareOne(
  weight: Coded,
  { name, dims }: Tensor,
  unpacking: Unpacking,
  { opset, fresh, keepingZeros }: Sharing,
): void {
  const codebook = fresh(`${name}_codebook`);
  const codes = storageFor(weight, dims, opset).write(unpacking);
  unpacking.node('Gather', [unpacking.add({ ...weight.values, name: codebook }), codes], {}, name);
  if (weight.keepsZeros) keepingZeros.push(codebook);
}
