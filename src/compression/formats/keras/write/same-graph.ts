/** Checks that a file with removed channels describes the graph. */
import { isDeepStrictEqual } from 'node:util';
import { inferShapes, type TypeTable } from '../../../graph/infer.ts';
import { toHost } from '../../../ir/tensor-data.ts';
import type { Model, Node } from '../../../ir/types.ts';
import type { HostTensor } from '../../../ir/host-tensor.ts';
import { refuse } from './new-array.ts';

/** Whether a node that reads the constant `own` may read `read` in the file. */
export type MayDiffer = (node: Node, own: HostTensor, read: HostTensor) => boolean;

/**
 * Compares a model with the one that was read from its file, node by node and constant by constant: whatever a setting
 * of a layer says of channels shows in one of them. A shape that the file's layers compute is compared where it is
 * known, and else comes out right by itself.
 * @throws LatheError `unsupported-operator` naming a node that differs
 */
export function requireSameGraph(model: Model, read: Model, may: MayDiffer): void {
  const [ours, theirs] = [new Side(model), new Side(read)];
  const seen = new Set<Node>();
  const pending = read.graph.outputs.map(({ name }) => name);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = theirs.makers.get(name);
    if (!node || seen.has(node)) continue;
    seen.add(node);
    const own = ours.makers.get(name);
    if (
      own?.opType !== node.opType ||
      own.domain !== node.domain ||
      own.inputs.length !== node.inputs.length ||
      !isDeepStrictEqual(own.attributes, node.attributes)
    )
      throw refuse(node.name, UNSAID);
    node.inputs.forEach((input, i) => {
      const ownInput = own.inputs[i] ?? '';
      const [a, b] = [ours.constant(ownInput), theirs.constant(input)];
      if (a && b && (sameConstant(a, b) || may(node, a, b))) return;
      if ((a && b) || !ours.isOver(ownInput, input)) throw refuse(node.name, UNSAID);
      pending.push(input);
    });
  }
}

const UNSAID = 'channels were removed in a way that the settings of its layer cannot say';

class Side {
  readonly makers = new Map<string, Node>();
  private readonly model: Model;
  private readonly types: TypeTable;

  constructor(model: Model) {
    this.model = model;
    this.types = inferShapes(model);
    for (const node of model.graph.nodes) for (const output of node.outputs) this.makers.set(output, node);
  }

  constant(name: string): HostTensor | null {
    const stored = this.model.graph.initializers.get(name);
    return stored ? toHost(stored) : this.types.constantOf(name);
  }

  /**
   * Whether `name` is `shape`, or has sizes put over it by steps that removed channels (operators/channels/reshape.ts).
   */
  isOver(name: string, shape: string): boolean {
    if (name === shape) return true;
    const maker = this.makers.get(name);
    return maker?.opType === 'Where' && this.isOver(maker.inputs[2] ?? '', shape);
  }
}

const sameConstant = (a: HostTensor, b: HostTensor): boolean =>
  a.dtype === b.dtype && isDeepStrictEqual(a.dims, b.dims) && isDeepStrictEqual(a.data, b.data);
