/**
 * Weights in fewer bits, unpacked when the model is loaded: half floats by Cast, integers as in pack-integers.ts.
 * onnxruntime evaluates these nodes once, so that the model runs as fast as with floats.
 */
import { sharedWeights } from '../../graph/codebooks.ts';
import { entryOf } from '../../ir/checked-access.ts';
import { freshNames, makeNode, mapSubgraphs, withGraph } from '../../ir/edit.ts';
import { elementCount, fromHost, toHost } from '../../ir/tensor-data.ts';
import type { Graph, Model, Tensor } from '../../ir/types.ts';
import { layerMatcher } from '../layer-filter.ts';
import { fitsHalf } from './cast/half.ts';
import { FLOAT32, MIN_ELEMENTS, type Additions } from './graph-parts.ts';
import { packIntegers, type PackOptions } from './pack-integers.ts';
import type { QuantizeParameters } from './spec.ts';
import { commonAxes, weightUses } from '../../weights/weight-uses.ts';

/**
 * Packs every selected float32 weight of the model, subgraphs included; returns the same model if there is none.
 * @param each called with every packed weight
 */
export function quantizeWeights(
  model: Model,
  parameters: QuantizeParameters,
  each: (weight: Tensor) => void = () => undefined,
): Model {
  return withGraph(
    model,
    quantizeGraph(model.graph, {
      parameters,
      selected: layerMatcher(parameters.layers),
      fresh: freshNames(model),
      each,
    }),
  );
}

interface Packing {
  readonly parameters: QuantizeParameters;
  readonly selected: (names: readonly string[]) => boolean;
  readonly fresh: (base: string) => string;
  readonly each: (weight: Tensor) => void;
}

function quantizeGraph(graph: Graph, packing: Packing): Graph {
  const { parameters, selected, fresh, each } = packing;
  const additions: Additions = { tensors: [], nodes: [] };
  const packed = new Set<string>();
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const codebooks = new Set([...sharedWeights(graph).values()].map(({ codebook }) => codebook));
  for (const [name, uses] of weightUses(graph)) {
    const tensor = entryOf(graph.initializers, name, 'weight');
    // too small to gain from fewer bits, and each value stands for many weights
    if (codebooks.has(tensor)) continue;
    if (outputs.has(name) || tensor.dtype !== 'float32' || elementCount(tensor.dims) < MIN_ELEMENTS) continue;
    if (parameters.precision === 'float16' && !fitsHalf(tensor)) continue;
    if (!selected([name, ...uses.map(({ node }) => node.name)])) continue;
    pack(tensor, { axes: commonAxes(uses, tensor.dims.length), parameters, fresh, additions });
    packed.add(name);
    each(tensor);
  }
  const inner = graph.nodes.map((node) => mapSubgraphs(node, (body) => quantizeGraph(body, packing)));
  if (packed.size === 0) return inner.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes: inner };
  const kept = [...graph.initializers].filter(([name]) => !packed.has(name));
  return {
    ...graph,
    initializers: new Map([...kept, ...additions.tensors.map((tensor): [string, Tensor] => [tensor.name, tensor])]),
    inputs: graph.inputs.filter(({ name }) => !packed.has(name)),
    nodes: [...additions.nodes, ...inner],
  };
}

function pack(tensor: Tensor, options: PackOptions): void {
  const { fresh, additions } = options;
  const { precision } = options.parameters;
  if (precision === 'int8' || precision === 'int4') {
    packIntegers(tensor, options);
    return;
  }
  if (precision !== 'float16' && precision !== 'bfloat16') return;
  const code = fresh(`w${additions.nodes.length}_${precision}`);
  additions.tensors.push(fromHost(code, { ...toHost(tensor), dtype: precision }));
  additions.nodes.push(makeNode('Cast', [code], [tensor.name], { to: FLOAT32 }, { name: '' }));
}
