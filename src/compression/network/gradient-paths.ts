/**
 * Which weights gradients reach. A weight is trained where a chain of operators with gradients leads from it to an
 * output; an operator without one on any such chain freezes the weights before it, rather than let them be trained with
 * a part of their gradient.
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

/** How a value stands to the outputs. */
export type Reach =
  | { readonly kind: 'none' } // nothing that is differentiated depends on it
  | { readonly kind: 'open' }
  | { readonly kind: 'zero'; readonly by: Obstacle } // its gradient is zero almost everywhere
  | { readonly kind: 'blocked'; readonly by: Obstacle };

/** Makes the program of a body inside a program. */
export type Bodies = (graph: Graph, outer: Program) => Program;

/** For every value of the program, whether and how gradients of the outputs reach it. */
export function gradientPaths(program: Program, bodies: Bodies): ReadonlyMap<string, Reach> {
  return spread(program, bodies, new Map(program.graph.outputs.map(({ name }) => [name, { kind: 'open' }])));
}

/**
 * What a gradient may flow into: weights, float inputs of the program, and float values that are computed from them.
 */
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

/** From what reaches the outputs of a program back through its instructions. */
function spread(program: Program, bodies: Bodies, ends: ReadonlyMap<string, Reach>): ReadonlyMap<string, Reach> {
  const reach = new Map([...ends].filter(([name]) => isFloatValue(program, name)));
  for (let i = program.instructions.length - 1; i >= 0; i--) {
    const instruction = program.instructions[i]!;
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

/** Of two ways to the outputs, the one that decides: an obstacle on any of them makes the gradient incomplete. */
function join(a: Reach, b: Reach): Reach {
  return ORDER[b.kind] > ORDER[a.kind] ? b : a;
}

/**
 * How the bodies of an instruction reach what the instruction uses: captured values, and the inputs that become the
 * body's. null: the instruction has no bodies.
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

/** What a round carries to the next is an output and an input of the body: gone round until nothing changes. */
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
      const round = join(ends.get(name)!, inside.get(inputs[i + 2 * skipped]!.name) ?? NONE);
      changed ||= round.kind !== ends.get(name)!.kind;
      ends.set(name, round);
    });
    if (!changed) return inside;
  }
}

/**
 * Input of the node that is the body's first: Loop's count and condition are the body's own, Scan had lengths before
 * all else up to opset 8.
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

/** The way on through an instruction, for the value `name` that it uses. */
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
  const open = inputs.every((input) => calculus.inputs.includes(input));
  return open
    ? behind
    : blocked(
        `no gradient is defined for input ${inputs.find((input) => !calculus.inputs.includes(input)) ?? 'values of its body'}`,
      );
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
