/**
 * Blocks that a network can do without: what they give has the shape of what they take, so that the one can stand for
 * the other.
 */
import { removeDeadNodes, removeUnusedInitializers, renameUses, withGraph } from '../ir/edit.ts';
import { inferShapes, type TypeTable } from './infer.ts';
import { constantsAsInitializers } from './passes/constants-as-initializers.ts';
import { inlineFunctions } from './passes/inline-functions.ts';
import { layersOf, stagesOf, type Stage } from './stages.ts';
import type { Model } from '../ir/types.ts';

/** Consecutive blocks of the same make; each block is one layer or several (attention and what feeds forward). */
export type BlockSequence = readonly (readonly Stage[])[];

export interface RemovableBlocks {
  /** Functions inlined, weights as initializers. */
  readonly model: Model;
  readonly sequences: readonly BlockSequence[];
}

/** The blocks that could go, in the order of the data. */
export function removableBlocks(given: Model): RemovableBlocks {
  const model = constantsAsInitializers(inlineFunctions(given));
  const types = inferShapes(model);
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const sequences: Stage[][] = [];
  let open: Stage[] | null = null;
  for (const layer of layersOf(stagesOf(model.graph, model.opsets))) {
    const removable =
      layer.weighted &&
      keepsShape(layer, types) &&
      !layer.nodes.some((node) => node.outputs.some((name) => outputs.has(name)));
    if (!removable) open = null;
    else if (open) open.push(layer);
    else sequences.push((open = [layer]));
  }
  return { model, sequences: sequences.flatMap((sequence) => groupIntoBlocks(sequence)) };
}

function keepsShape({ input, output }: Stage, types: TypeTable): boolean {
  const [from, to] = [input === null ? null : types.typeOf(input), types.typeOf(output)];
  if (!from?.shape || !to?.shape || from.dtype !== to.dtype || from.shape.length !== to.shape.length) return false;
  return from.shape.every((dim, axis) => dim !== null && dim === to.shape![axis]);
}

/** By the shortest period of what the layers are made of; layers without one are a run of single blocks each. */
function groupIntoBlocks(layers: readonly Stage[]): BlockSequence[] {
  const made = layers.map(({ nodes }) => nodes.map(({ opType }) => opType).join());
  for (let period = 1; period <= layers.length / 2; period++) {
    if (!made.every((signature, i) => i < period || signature === made[i - period])) continue;
    return [
      Array.from({ length: Math.floor(layers.length / period) }, (_, i) => layers.slice(i * period, (i + 1) * period)),
    ];
  }
  return [layers.map((layer) => [layer])];
}

/** The model without these blocks: what read their results reads what they took. */
export function withoutBlocks({ model }: RemovableBlocks, blocks: readonly (readonly Stage[])[]): Model {
  const names = new Map<string, string>();
  for (const block of blocks) for (const { input, output } of block) names.set(output, names.get(input!) ?? input!);
  const graph = removeUnusedInitializers(removeDeadNodes(renameUses(model.graph, names)));
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  return withGraph(model, { ...graph, valueInfos: graph.valueInfos.filter(({ name }) => made.has(name)) });
}
