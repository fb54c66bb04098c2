/**
 * The optimizer's updates of small parameters as one operation: most parameters of a network are biases and the like,
 * whose updates take less time than their scheduling. Large ones stay apart and are updated as soon as their gradient
 * is there, while it is in the cache. The arithmetic is the same bit by bit.
 */
import { tensorflow } from '../native/binding.ts';
import { nodeOf } from './program.ts';
import type { Program, ProgramOp, Reference } from './program.ts';

/** Elements of a parameter up to which its update is joined: what one thread computes (kGrain in native/op.h). */
const MAX_ELEMENTS = 2 ** 16;

/** Updates by their name: the joined operation, and how many of an update's inputs belong to its parameter alone. */
const UPDATES = new Map([
  ['LatheMomentum', { joined: 'LatheMultiMomentum', own: 3 }],
  ['LatheAdam', { joined: 'LatheMultiAdam', own: 4 }],
]);

export function joinUpdates(program: Program): Program {
  const groups = [...groupsOf(program).values()].filter((nodes) => nodes.length > 1);
  const ops = new Map(program.ops);
  const renamed = new Map<Reference, Reference>();
  for (const nodes of groups) {
    const members = nodes.map((node) => program.ops.get(node)!);
    nodes.forEach((node, index) => {
      ops.delete(node);
      members[index]!.outputs.forEach((_, output) =>
        renamed.set(`${node}:${output}`, `${nodes[0]!}:${output * nodes.length + index}`),
      );
    });
    ops.set(nodes[0]!, join(members));
  }
  const resolve = (reference: Reference): Reference => renamed.get(reference) ?? reference;
  return {
    ...program,
    ops,
    results: program.results.map(resolve),
    updates: new Map([...program.updates].map(([variable, value]) => [variable, resolve(value)])),
  };
}

/** Nodes by what they must have in common. Values that another operation reads stay where they are. */
function groupsOf({ ops }: Program): Map<string, string[]> {
  const read = new Set([...ops.values()].flatMap(({ inputs }) => inputs.map(nodeOf)));
  const groups = new Map<string, string[]>();
  for (const [node, op] of ops) {
    const update = UPDATES.get(op.name);
    if (!update || read.has(node) || elements(op) > MAX_ELEMENTS) continue;
    const key = JSON.stringify([op.name, op.attributes, op.inputs.slice(update.own)]);
    groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  return groups;
}

function elements({ shapes }: ProgramOp): number {
  return shapes[0]!.reduce((product, size) => product * size, 1);
}

function join(members: readonly ProgramOp[]): ProgramOp {
  const [first] = members as [ProgramOp];
  const { joined, own } = UPDATES.get(first.name)!;
  const byKind = <V>(of: (op: ProgramOp) => readonly V[], kinds: number): V[] =>
    Array.from({ length: kinds }, (_, kind) => members.map((op) => of(op)[kind]!)).flat();
  const count = { name: 'count', type: tensorflow().binding.TF_ATTR_INT, value: members.length };
  return {
    name: joined,
    attributes: [count, ...first.attributes],
    inputs: [...byKind(({ inputs }) => inputs, own), ...first.inputs.slice(own)],
    outputs: byKind(({ outputs }) => outputs, first.outputs.length),
    shapes: byKind(({ shapes }) => shapes, first.outputs.length),
  };
}
