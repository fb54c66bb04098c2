/** Why a model cannot be trained, node by node. */
import type { UntrainableNode } from '../../contracts/model.ts';
import { LatheError } from '../../errors.ts';
import { weights } from '../graph/describe.ts';
import { subgraphs } from '../ir/edit.ts';
import { nodeLabel } from '../ir/graph-error.ts';
import { isFloat } from '../ir/tensor-data.ts';
import type { Model } from '../ir/types.ts';
import type { Network } from '../network/network.ts';

/** For a network none of whose weights gradients reach. */
export function withoutParameters(model: Model, network: Pick<Network, 'frozen'>): UntrainableNode[] {
  if (network.frozen.length > 0) return frozenNodes(network);
  const holder = model.graph.nodes.find((node) =>
    subgraphs(node).some(({ graph }) => weights(graph).some(({ dtype }) => isFloat(dtype))),
  );
  if (holder)
    return [
      {
        node: nodeLabel(holder),
        operator: holder.opType,
        reason: 'the weights lie in its subgraphs, where they are not trained (they can be cast, pruned and quantized)',
      },
    ];
  return [{ node: '', operator: '', reason: 'the model holds no float weights that training could change' }];
}

/** Each node that blocks gradients, with the number of weights it freezes. */
export function frozenNodes(network: Pick<Network, 'frozen'>): UntrainableNode[] {
  const nodes = new Map<string, { operator: string; reason: string; count: number }>();
  for (const { node, reason } of network.frozen) {
    const known = nodes.get(node);
    if (known) known.count++;
    else nodes.set(node, { operator: operatorIn(node), reason, count: 1 });
  }
  return [...nodes].map(([node, { operator, reason, count }]) => ({
    node,
    operator,
    reason: `${reason}: ${count} weight${count === 1 ? '' : 's'} before it cannot be trained`,
  }));
}

/** The node that an error names, and its message. */
export function untrainableBy(error: unknown): UntrainableNode {
  const node = error instanceof LatheError ? (error.errors[0]?.path ?? '') : '';
  return { node, operator: operatorIn(node), reason: error instanceof Error ? error.message : String(error) };
}

/** The operator in a node's label. */
function operatorIn(label: string): string {
  return /\((\w+)\)$/.exec(label)?.[1] ?? '';
}
