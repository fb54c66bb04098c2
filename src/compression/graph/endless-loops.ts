/** Refuses loops that the graph alone shows to be endless: no runtime could compute the model's outputs. */
import { atNode, GraphError } from '../ir/graph-error.ts';
import type { TypeTable } from './infer.ts';
import { knownRounds } from './passes/resolve-control-flow.ts';
import type { Graph } from '../ir/types.ts';

/** An empty body takes onnxruntime at least a microsecond a round: these take a quarter of an hour. */
const MAX_ROUNDS = 1e9;

/**
 * Checks the loops of the main graph, which every run executes; those in branches and bodies may never run.
 * @throws LatheError `malformed-model` with the node.
 */
export function refuseEndlessLoops(graph: Graph, table: TypeTable): void {
  for (const node of graph.nodes) {
    const body = node.attributes.get('body');
    if (node.domain !== '' || node.opType !== 'Loop' || body?.kind !== 'graph') continue;
    const rounds = knownRounds(node, body.value, table);
    if (rounds === Infinity)
      throw atNode(node, new GraphError('the loop never ends: it has no trip count, and its condition stays true'));
    if (rounds !== null && rounds > MAX_ROUNDS)
      throw atNode(node, new GraphError(`the loop has more than ${MAX_ROUNDS} rounds: no run would finish`));
  }
}
