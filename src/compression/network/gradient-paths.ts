/**
 * Which weights gradients reach. A weight is trained where a chain of operators with gradients leads from it to an
 * output. An operator without a gradient on any such chain freezes the weights before it, which would otherwise be
 * trained with part of their gradient.
 */
import { isFloat } from '../ir/tensor-data.ts';
import { nodeLabel } from '../ir/graph-error.ts';
import { capturedNames, subgraphs } from '../ir/edit.ts';
import type { TypeTable } from '../graph/infer.ts';
import type { Graph } from '../ir/types.ts';
import type { Program, Instruction } from './program.ts';

export interface Obstacle {
  readonly node: string;
  readonly operator: string;
  readonly reason: string;
}

/** Whether gradients of the outputs reach a value. */
export type Reach =
  | { readonly kind: 'none' } // nothing that is differentiated depends on it
  | { readonly kind: 'open' }
  | { readonly kind: 'zero'; readonly by: Obstacle } // its gradient is zero almost everywhere
  | { readonly kind: 'blocked'; readonly by: Obstacle };

/** Returns the program of a body inside a program. */
export type Bodies = (graph: Graph, outer: Program) => Program;

/** For every value of the program, whether and how gradients of the outputs reach it. */
export function gradientPaths(program: Program, bodies: Bodies): ReadonlyMap<string, Reach> {
  return spread(program, bodies, new Map(program.graph.outputs.map(({ name }) => [name, { kind: 'open' }])));
}

/** Values that gradients may flow into: weights, float inputs, and float values computed from them. */
export function gradientCarriers(
  { graph, instructions, types }: Program,
  weights: Iterable<string>,
): ReadonlySet<string> {
  const isCarrier = (name: string): boolean => name !== '' && isFloatOf(types, name);
  const found = new Set(weights);
  for (const { name } of graph.inputs) if (!graph.initializers.has(name) && isCarrier(name)) found.add(name);
  for (const { node, uses } of instructions) {
    if (![...uses].some((name) => found.has(name))) continue;
    for (const name of node.outputs) if (isCarrier(name)) found.add(name);
  }
  return found;
}

/** Propagates reach from the outputs of a program back through its instructions. */
function spread(program: Program, bodies: Bodies, ends: ReadonlyMap<string, Reach>): ReadonlyMap<string, Reach> {
  const reach = new Map([...ends].filter(([name]) => isFloatValue(program, name)));
  for (const instruction of [...program.instructions].reverse()) {
    const behind = instruction.node.outputs
      .filter((name) => name !== '' && isFloatValue(program, name))
      .reduce<Reach>((best, name) => join(best, reach.get(name) ?? NONE), NONE);
    const inside = behind.kind === 'none' ? null : throughBodies(instruction, program, bodies, reach);
    for (const name of instruction.uses) {
      if (!isFloatValue(program, name)) continue;
      const through = inside ? (inside.get(name) ?? NONE) : pass(instruction, name, behind);
      reach.set(name, join(reach.get(name) ?? NONE, through));
    }
  }
  return reach;
}

const NONE: Reach = { kind: 'none' };
const ORDER = { none: 0, zero: 1, open: 2, blocked: 3 } as const;

/** The decisive one of two ways to the outputs: an obstacle on either makes the gradient incomplete. */
function join(a: Reach, b: Reach): Reach {
  return ORDER[b.kind] > ORDER[a.kind] ? b : a;
}

/**
 * How gradients pass through an instruction's bodies to the values it uses: captured values, and inputs that become
 * the body's. null: the instruction has no bodies.
 */
function throughBodies(
  instruction: Instruction,
  program: Program,
  bodies: Bodies,
  reach: ReadonlyMap<string, Reach>,
): ReadonlyMap<string, Reach> | null {
  const found = new Map<string, Reach>();
  const inner = subgraphs(instruction.node);
  for (const { graph } of inner) {
    const inside = throughBody(instruction, bodies(graph, program), bodies, reach);
    const add = (name: string, way: Reach | undefined): void => {
      found.set(name, join(found.get(name) ?? NONE, way ?? NONE));
    };
    for (const name of capturedNames(graph)) add(name, inside.get(name));
    instruction.node.inputs.forEach((name, i) =>
      add(name, inside.get(graph.inputs[i - firstInput(instruction)]?.name ?? '')),
    );
  }
  return inner.length > 0 ? found : null;
}

/** Iterates to a fixed point, since a value carried from one round to the next is both output and input of the body. */
function throughBody(
  instruction: Instruction,
  body: Program,
  bodies: Bodies,
  reach: ReadonlyMap<string, Reach>,
): ReadonlyMap<string, Reach> {
  const skipped = instruction.operator.type === 'Loop' ? 1 : 0; // the condition
  const { inputs, outputs } = body.graph;
  const ends = new Map<string, Reach>();
  outputs
    .slice(skipped)
    .forEach(({ name }, i) =>
      ends.set(name, join(ends.get(name) ?? NONE, reach.get(instruction.node.outputs[i] ?? '') ?? NONE)),
    );
  for (;;) {
    const inside = spread(body, bodies, ends);
    let changed = false;
    outputs.slice(skipped, skipped + carriedCount(instruction)).forEach(({ name }, i) => {
      const end = ends.get(name) ?? NONE;
      const round = join(end, inside.get(inputs[i + 2 * skipped]?.name ?? '') ?? NONE);
      changed ||= round.kind !== end.kind;
      ends.set(name, round);
    });
    if (!changed) return inside;
  }
}

/**
 * The node's input that becomes the body's first. A Loop's trip count and condition correspond to the body's own first
 * two; up to opset 8, Scan's first input holds lengths.
 */
function firstInput({ operator, opset }: Instruction): number {
  return operator.type === 'Scan' && opset < 9 ? 1 : 0;
}

function carriedCount(instruction: Instruction): number {
  const { operator, node } = instruction;
  if (operator.type === 'Loop') return Math.max(node.inputs.length - 2, 0);
  const scanned = node.attributes.get('num_scan_inputs');
  return operator.type === 'Scan' && scanned?.kind === 'int'
    ? node.inputs.length - firstInput(instruction) - scanned.value
    : 0;
}

/** How gradients pass through an instruction to its input `name`. */
function pass(instruction: Instruction, name: string, behind: Reach): Reach {
  if (behind.kind === 'none') return behind;
  const calculus = instruction.operator.differentiability;
  const blocked = (reason: string): Reach =>
    behind.kind === 'zero' ? behind : { kind: 'blocked', by: obstacle(instruction, reason) };
  if (!instruction.operator.device) return blocked(`${instruction.operator.type} has no gradient`);
  if (calculus.kind === 'full') return behind;
  if (calculus.kind === 'none') return blocked(calculus.reason);
  if (calculus.kind === 'zero')
    return behind.kind === 'blocked'
      ? behind
      : { kind: 'zero', by: obstacle(instruction, 'its gradient is zero almost everywhere') };
  const inputs = instruction.node.inputs.flatMap((input, i) => (input === name ? [i] : []));
  const closed = inputs.find((input) => !calculus.inputs.includes(input));
  return closed === undefined ? behind : blocked(`no gradient is defined for input ${closed}`);
}

function obstacle(instruction: Instruction, reason: string): Obstacle {
  return { node: nodeLabel(instruction.node), operator: instruction.operator.type, reason };
}

function isFloatValue({ types }: Program, name: string): boolean {
  return isFloatOf(types, name);
}

function isFloatOf(types: TypeTable, name: string): boolean {
  const type = types.typeOf(name);
  return type === null || type.dtype === 'undefined' || isFloat(type.dtype);
}
