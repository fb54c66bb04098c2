/** Blocks that can be removed from a network: the output has the shape of the input, which can take its place. */
import { removeDeadNodes, removeUnusedInitializers, renameUses, withGraph } from '../ir/edit.ts';
import { inferShapes, type TypeTable } from './infer.ts';
import { constantsAsInitializers } from './passes/constants-as-initializers.ts';
import { inlineFunctions } from './passes/inline-functions.ts';
import { layersOf, stagesOf, type Stage } from './stages.ts';
import type { Model } from '../ir/types.ts';

/** Consecutive blocks of the same structure; each is one layer or several (attention with its feed-forward layers). */
export type BlockSequence = readonly (readonly Stage[])[];

export interface RemovableBlocks {
  /** Functions inlined, weights as initializers. */
  readonly model: Model;
  readonly sequences: readonly BlockSequence[];
}

/** The removable blocks, in the order in which data pass through them. */
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
  const [before, after] = [from?.shape, to?.shape];
  if (!before || !after || from?.dtype !== to?.dtype || before.length !== after.length) return false;
  return before.every((dim, axis) => dim !== null && dim === after[axis]);
}

/** Groups layers by the shortest period of their operators; without a period every layer is a block. */
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

/** The model without these blocks: readers of a block's output read its input instead. */
export function withoutBlocks({ model }: RemovableBlocks, blocks: readonly (readonly Stage[])[]): Model {
  const names = new Map<string, string>();
  for (const { input, output } of blocks.flat()) if (input !== null) names.set(output, names.get(input) ?? input);
  const graph = removeUnusedInitializers(removeDeadNodes(renameUses(model.graph, names)));
  const made = new Set(graph.nodes.flatMap(({ outputs }) => outputs));
  return withGraph(model, { ...graph, valueInfos: graph.valueInfos.filter(({ name }) => made.has(name)) });
}
