/** The values of a compressed graph, brought back to the arrays of the file that the graph was read from. */
import { existing } from '../../../ir/checked-access.ts';
import { cutTensor, type KeptIndices } from '../../../graph/channels/remove.ts';
import { removeDeadNodes, removeUnusedInitializers, subgraphs } from '../../../ir/edit.ts';
import { isFloat, toHost } from '../../../ir/tensor-data.ts';
import type { Graph, Model, Tensor } from '../../../ir/types.ts';
import type { AddressBook, StoredArray } from './addresses.ts';
import { refuse, type NewArray } from './new-array.ts';
import { selectRemaining } from './select-remaining.ts';

export interface Origins {
  /** The graph as the file was read. */
  readonly uploaded: Model;
  /** The same graph with addresses for values. */
  readonly addressed: Model;
  readonly book: AddressBook;
}

/** Of initializers that lost channels, the indices of the uploaded one's that are left, by axis. */
export type Kept = ReadonlyMap<string, KeptIndices>;

interface Target {
  readonly values: Float32Array;
  /** Of each element: whether the graph still has it, has lost it, or never had it. */
  readonly state: Uint8Array;
}
const [KNOWN, GONE] = [1, 2] as const;

type CollectedArrays = Map<StoredArray, Target>;

/**
 * New values of every array that the graph holds, by place, in the file's own layout.
 * @throws LatheError `unsupported-operator` where the file's topology cannot express the change.
 */
export function collectArrays(model: Model, { uploaded, addressed, book }: Origins): Map<string, NewArray> {
  requireSameNodes(model.graph, uploaded.graph);
  const found: CollectedArrays = new Map();
  for (const [name, before] of uploaded.graph.initializers) {
    const now = initializer(model.graph, name, before.dims);
    const addresses = existing(addressed.graph.initializers.get(name), `the addresses of "${name}"`);
    if (holdsAddresses(before, addresses)) scatter({ now, before, addresses, book, found });
    else requireSame(now, before);
  }
  return new Map([...found].map(([{ place, dims }, { values }]) => [place, { dims, values }]));
}

/**
 * As `collectArrays`, of a graph that lost channels: arrays shrink with it. Nodes and constants without an array are
 * not looked at: they are compared when the smaller file is read.
 * @throws LatheError `unsupported-operator` as well where what is left of an array is no array.
 */
export function collectSmallerArrays(
  model: Model,
  { uploaded, addressed, book }: Origins,
  kept: Kept,
): Map<string, NewArray> {
  const found: CollectedArrays = new Map();
  for (const [name, before] of removeUnusedInitializers(removeDeadNodes(uploaded.graph)).initializers) {
    const addresses = existing(addressed.graph.initializers.get(name), `the addresses of "${name}"`);
    if (!holdsAddresses(before, addresses)) continue;
    const cut = (tensor: Tensor): Tensor => cutTensor(tensor, kept.get(name) ?? before.dims.map(() => null));
    if (kept.has(name)) markGone(addresses, cut(addresses), book, found);
    scatter({
      now: initializer(model.graph, name, cut(before).dims),
      before: cut(before),
      addresses: cut(addresses),
      book,
      found,
    });
  }
  return new Map(
    [...found].map(([stored, { values, state }]) => [
      stored.place,
      selectRemaining(stored, values, (i) => state[i] !== GONE),
    ]),
  );
}

function initializer(graph: Graph, name: string, dims: readonly number[]): Tensor {
  const now = graph.initializers.get(name);
  if (!now) throw refuse(name, 'the weight is no longer in the model');
  if (now.dims.join() !== dims.join())
    throw refuse(name, `its shape changed from [${dims.join(', ')}] to [${now.dims.join(', ')}]`);
  return now;
}

const holdsAddresses = (before: Tensor, addresses: Tensor): boolean =>
  isFloat(before.dtype) && !sameBytes(addresses, before);

const bitsOf = (addresses: Tensor): Uint32Array =>
  new Uint32Array((toHost(addresses).data as Float32Array).slice().buffer);

/** Marks elements that the cut removes; `scatter` detects those that another layer keeps. */
function markGone(addresses: Tensor, left: Tensor, book: AddressBook, found: CollectedArrays): void {
  const stays = new Set(bitsOf(left));
  for (const address of bitsOf(addresses)) {
    const stored = stays.has(address) ? undefined : book.find(address);
    if (!stored) continue;
    const { state } = targetOf(stored, found);
    if (state[address - stored.first] === KNOWN) throw refuse(stored.place, UNEQUAL_PARTS);
    state[address - stored.first] = GONE;
  }
}

const UNEQUAL_PARTS = 'layers that share the array keep different parts of it';

function targetOf(stored: StoredArray, found: CollectedArrays): Target {
  const target = found.get(stored) ?? { values: stored.values.slice(), state: new Uint8Array(stored.values.length) };
  found.set(stored, target);
  return target;
}

interface Scattering {
  readonly now: Tensor;
  readonly before: Tensor;
  readonly addresses: Tensor;
  readonly book: AddressBook;
  readonly found: CollectedArrays;
}

function scatter({ now, before, addresses, book, found }: Scattering): void {
  const values = toHost(now).data as ArrayLike<number>;
  const old = toHost(before).data as ArrayLike<number>;
  const bits = bitsOf(addresses);
  let stored: StoredArray | undefined;
  for (let i = 0; i < values.length; i++) {
    const address = bits[i]!;
    if (!stored || address < stored.first || address >= stored.first + stored.values.length)
      stored = book.find(address);
    if (!stored) {
      if (values[i] !== old[i]) throw refuse(now.name, 'it was changed, and the file has no array for it');
      continue;
    }
    const target = targetOf(stored, found);
    const at = address - stored.first;
    if (target.state[at] === GONE) throw refuse(stored.place, UNEQUAL_PARTS);
    if (target.state[at] === KNOWN && target.values[at] !== values[i])
      throw refuse(now.name, 'layers that share its array have different values now');
    target.values[at] = values[i]!;
    target.state[at] = KNOWN;
  }
}

function requireSame(now: Tensor, before: Tensor): void {
  if (!sameBytes(now, before)) throw refuse(now.name, 'it was changed, and the file has no array for it');
}

const sameBytes = (a: Tensor, b: Tensor): boolean => a.dtype === b.dtype && Buffer.compare(a.bytes, b.bytes) === 0;

/**
 * The same operators between the same values. Bodies of loops hold no arrays of the file: their constants must be the
 * same too.
 */
function requireSameNodes(graph: Graph, before: Graph): void {
  const constants = (node: Graph['nodes'][number]): string[] =>
    subgraphs(node).flatMap(({ graph: body }) =>
      [...body.initializers.values()].map(({ name, bytes }) => `${name}:${Buffer.from(bytes).toString('base64')}`),
    );
  const key = (node: Graph['nodes'][number]): string =>
    JSON.stringify([node.domain, node.opType, node.inputs, node.outputs, constants(node)]);
  const known = new Map(before.nodes.map((node) => [key(node), node.outputs[0] ?? node.name]));
  const changed = graph.nodes.find((node) => !known.delete(key(node)));
  if (changed) throw refuse(changed.name, `the operator ${changed.opType} was not in the uploaded model`);
  const [missing] = known.values();
  if (missing !== undefined) throw refuse(missing, 'the operator that computes it is no longer in the model');
}
