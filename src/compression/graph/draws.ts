/** Nodes that draw random numbers. */
import { subgraphs, walkNodes } from '../ir/edit.ts';
import type { Graph, Model, Node } from '../ir/types.ts';

/** Operators whose outputs are draws. */
export const DRAWING: ReadonlySet<string> = new Set([
  'RandomNormal',
  'RandomUniform',
  'RandomNormalLike',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
]);

export function isDraw({ opType, domain }: Node): boolean {
  return domain === '' && DRAWING.has(opType);
}

/** A Dropout with the input that may make it drop at inference as well (since opset 12). */
export function mayDrop({ opType, domain, inputs }: Node): boolean {
  return domain === '' && opType === 'Dropout' && (inputs[2] ?? '') !== '';
}

/** Whether a node, or one inside its bodies, draws random numbers at inference or in training. */
export function makesNoise(node: Node): boolean {
  if (isDraw(node) || (node.domain === '' && node.opType === 'Dropout')) return true;
  return subgraphs(node).some(({ graph }) => graph.nodes.some(makesNoise));
}

/** Whether two runs of the model may differ. */
export function holdsDraws({ graph, functions }: Model): boolean {
  let found = false;
  const look = (node: Node): void => {
    found ||= isDraw(node) || mayDrop(node);
  };
  for (const nodes of [graph.nodes, ...functions.map(({ nodes }) => nodes)]) walkNodes({ ...graph, nodes }, look);
  return found;
}

/** The first random node inside a branch or loop. */
export function drawInBody(main: Graph): Node | null {
  let found: Node | null = null;
  walkNodes(main, (node, graph) => {
    if (graph !== main && isDraw(node)) found ??= node;
  });
  return found;
}
