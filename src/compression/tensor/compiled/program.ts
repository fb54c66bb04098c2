/**
 * A recorded step with its handles replaced by what they stand for, so that two runs of one step can be compared and a
 * third one replaced.
 *
 * A reference is `i0` (an input), `v0` (a variable), `c0` (a constant), `x17` (a tensor from outside, by its handle) or
 * `n4:1` (output 1 of operation 4).
 */
import type { OpAttribute } from '../native/binding.ts';
import type { RecordedConstant, RecordedOp, Recording } from './recorder.ts';

export type Reference = string;

export interface ProgramOp {
  readonly name: string;
  readonly attributes: readonly OpAttribute[];
  readonly inputs: readonly Reference[];
  /** TF_DataType of each output. */
  readonly outputs: readonly number[];
  /**
   * Of the outputs, in the run that was recorded: some depend on values, so they are no part of what makes two programs
   * the same.
   */
  readonly shapes: readonly (readonly number[])[];
}

export interface Program {
  readonly ops: ReadonlyMap<string, ProgramOp>;
  readonly constants: ReadonlyMap<Reference, RecordedConstant>;
  readonly results: readonly Reference[];
  /** New values of variables: by the variable's reference. */
  readonly updates: ReadonlyMap<Reference, Reference>;
}

/**
 * The live part of a recording: operations that no result, no variable's new value and no exchange needs are left out.
 */
export function toProgram(
  recording: Recording,
  known: ReadonlyMap<number, Reference>,
  results: readonly number[],
  updates: ReadonlyMap<Reference, number>,
): Program {
  const references = new Map(known);
  const [ops, constants] = [new Map<string, ProgramOp>(), new Map<Reference, RecordedConstant>()];
  const resolve = (id: number): Reference => references.get(id) ?? `x${id}`;
  for (const [id, constant] of recording.constants) {
    const reference = `c${constants.size}`;
    references.set(id, reference);
    constants.set(reference, constant);
  }
  for (const op of recording.ops) {
    const node = `n${ops.size}`;
    ops.set(node, toProgramOp(op, resolve));
    op.outputs.forEach(({ id }, index) => references.set(id, `${node}:${index}`));
  }
  const whole = {
    ops,
    constants,
    results: results.map(resolve),
    updates: new Map([...updates].map(([variable, id]) => [variable, resolve(id)])),
  };
  return withoutDeadCode(whole);
}

function toProgramOp({ name, attributes, inputs, outputs }: RecordedOp, resolve: (id: number) => Reference): ProgramOp {
  return {
    name,
    attributes,
    inputs: inputs.map(resolve),
    outputs: outputs.map(({ dtype }) => dtype),
    shapes: outputs.map(({ shape }) => shape),
  };
}

/**
 * Exchanges with other processes (native/shared-group-ops.cc): every process must run them, whether or not it needs the
 * result, and all in one order, that of recording.
 */
export function isExchange({ name }: ProgramOp): boolean {
  return name.startsWith('LatheShared');
}

export function nodeOf(reference: Reference): string {
  return reference.split(':')[0]!;
}

function withoutDeadCode(program: Program): Program {
  const live = new Set<string>();
  const exchanges = [...program.ops].flatMap(([node, op]) => (isExchange(op) ? [node] : []));
  const pending = [...[...program.results, ...program.updates.values()].map(nodeOf), ...exchanges];
  for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
    if (live.has(node)) continue;
    live.add(node);
    pending.push(...(program.ops.get(node)?.inputs.map(nodeOf) ?? []));
  }
  const keep = <V>(entries: ReadonlyMap<string, V>) => new Map([...entries].filter(([key]) => live.has(key)));
  return { ...program, ops: keep(program.ops), constants: keep(program.constants) };
}

/** Everything outside that the program takes: inputs, variables and tensors from outside. */
export function argumentsOf(program: Program): Reference[] {
  const used = [
    ...[...program.ops.values()].flatMap(({ inputs }) => inputs),
    ...program.results,
    ...program.updates.values(),
  ];
  return [...new Set(used.filter((reference) => /^[ivx]/.test(reference)))];
}

/** Why two runs of one step are not the same program; null where they are. */
export function difference(a: Program, b: Program): string | null {
  const shape = ({ ops, results, updates }: Program) =>
    JSON.stringify([[...ops].map(([node, op]) => [node, withoutShapes(op)]), results, [...updates]]);
  if (a.ops.size !== b.ops.size) return `one run took ${a.ops.size} operations and the next ${b.ops.size}`;
  for (const [node, constant] of a.constants) {
    const other = b.constants.get(node);
    if (!other || !sameConstant(constant, other))
      return (
        'a tensor made of JavaScript values changed from run to run; it feeds ' +
        (usersOf(a, node).join(', ') || 'a result')
      );
  }
  return shape(a) === shape(b) ? null : `two runs differ in ${firstDifferentOp(a, b)}`;
}

function sameConstant(a: RecordedConstant, b: RecordedConstant): boolean {
  return a.dtype === b.dtype && a.shape.join() === b.shape.join() && Buffer.compare(a.bytes, b.bytes) === 0;
}

function usersOf(program: Program, reference: Reference): string[] {
  return [
    ...new Set([...program.ops.values()].filter(({ inputs }) => inputs.includes(reference)).map(({ name }) => name)),
  ];
}

function firstDifferentOp(a: Program, b: Program): string {
  const pairs = [...a.ops].map(([node, op]) => [op, b.ops.get(node)] as const);
  return (
    pairs.find(([one, two]) => JSON.stringify(withoutShapes(one)) !== JSON.stringify(withoutShapes(two)))?.[0].name ??
    'their results'
  );
}

function withoutShapes(op: ProgramOp | undefined): Omit<ProgramOp, 'shapes'> | undefined {
  return op && { name: op.name, attributes: op.attributes, inputs: op.inputs, outputs: op.outputs };
}
