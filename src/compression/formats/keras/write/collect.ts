/** The values of a compressed graph, brought back to the arrays of the file that the graph was read from. */
import { LatheError } from '../../../../errors.ts';
import { subgraphs } from '../../../graph/edit.ts';
import { isFloat, toHost } from '../../../graph/tensor-data.ts';
import type { Graph, Model, Tensor } from '../../../graph/types.ts';
import type { AddressBook, StoredArray } from './addresses.ts';

export interface Origins {
  /** The graph as the file was read. */
  readonly uploaded: Model;
  /** The same graph with addresses for values. */
  readonly addressed: Model;
  readonly book: AddressBook;
}

const refuse = (name: string, message: string): LatheError => new LatheError('unsupported-operator', `"${name}": ${message}`, [{ path: name, message }]);

/**
 * New values of every array that the graph holds, by place, in the file's own layout.
 * @throws LatheError `unsupported-operator` where the graph was changed in a way that the file's topology cannot say.
 */
export function collectArrays(model: Model, { uploaded, addressed, book }: Origins): Map<string, Float32Array> {
  requireSameNodes(model.graph, uploaded.graph);
  const found = new Map<StoredArray, { values: Float32Array; known: Uint8Array }>();
  for (const [name, before] of uploaded.graph.initializers) {
    const now = model.graph.initializers.get(name);
    if (!now) throw refuse(name, 'the weight is no longer in the model');
    if (now.dims.join() !== before.dims.join()) throw refuse(name, `its shape changed from [${before.dims.join(', ')}] to [${now.dims.join(', ')}]`);
    const addresses = addressed.graph.initializers.get(name)!;
    if (!isFloat(before.dtype) || sameBytes(addresses, before)) requireSame(now, before);
    else scatter(now, before, addresses, book, found);
  }
  return new Map([...found].map(([{ place }, { values }]) => [place, values]));
}

function scatter(now: Tensor, before: Tensor, addresses: Tensor, book: AddressBook, found: Map<StoredArray, { values: Float32Array; known: Uint8Array }>): void {
  const values = toHost(now).data as ArrayLike<number>;
  const old = toHost(before).data as ArrayLike<number>;
  const bits = new Uint32Array((toHost(addresses).data as Float32Array).slice().buffer);
  let stored: StoredArray | undefined;
  for (let i = 0; i < values.length; i++) {
    if (!stored || bits[i]! < stored.first || bits[i]! >= stored.first + stored.values.length) stored = book.find(bits[i]!);
    if (!stored) {
      if (values[i] !== old[i]) throw refuse(now.name, 'it was changed, and the file has no array for it');
      continue;
    }
    let target = found.get(stored);
    if (!target) found.set(stored, (target = { values: stored.values.slice(), known: new Uint8Array(stored.values.length) }));
    const at = bits[i]! - stored.first;
    if (target.known[at] === 1 && target.values[at] !== values[i]) throw refuse(now.name, 'layers that share its array have different values now');
    target.values[at] = values[i]!;
    target.known[at] = 1;
  }
}

function requireSame(now: Tensor, before: Tensor): void {
  if (!sameBytes(now, before)) throw refuse(now.name, 'it was changed, and the file has no array for it');
}

const sameBytes = (a: Tensor, b: Tensor): boolean => a.dtype === b.dtype && Buffer.compare(a.bytes, b.bytes) === 0;

/** The same operators between the same values. Bodies of loops hold no arrays of the file: their constants must be the same too. */
function requireSameNodes(graph: Graph, before: Graph): void {
  const constants = (node: Graph['nodes'][number]): string[] => subgraphs(node).flatMap(({ graph: body }) => [...body.initializers.values()].map(({ name, bytes }) => `${name}:${Buffer.from(bytes).toString('base64')}`));
  const key = (node: Graph['nodes'][number]): string => JSON.stringify([node.domain, node.opType, node.inputs, node.outputs, constants(node)]);
  const known = new Set(before.nodes.map(key));
  const changed = graph.nodes.find((node) => !known.delete(key(node)));
  if (changed) throw refuse(changed.name, `the operator ${changed.opType} was not in the uploaded model`);
  if (known.size > 0) throw refuse(String((JSON.parse([...known][0]!) as unknown[][])[3]![0]), 'the operator that computes it is no longer in the model');
}
