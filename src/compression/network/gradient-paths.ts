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
import type { Program, Step } from './program.ts';

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
export function gradientCarriers({ graph, steps, types }: Program, weights: Iterable<string>): ReadonlySet<string> {
  const isCarrier = (name: string): boolean => name !== '' && isFloatOf(types, name);
  const found = new Set(weights);
  for (const { name } of graph.inputs) if (!graph.initializers.has(name) && isCarrier(name)) found.add(name);
  for (const { node, uses } of steps) {
    if (![...uses].some((name) => found.has(name))) continue;
    for (const name of node.outputs) if (isCarrier(name)) found.add(name);
  }
  return found;
}

/** From what reaches the outputs of a program back through its steps. */
function spread(program: Program, bodies: Bodies, ends: ReadonlyMap<string, Reach>): ReadonlyMap<string, Reach> {
  const reach = new Map([...ends].filter(([name]) => isFloatValue(program, name)));
  for (let i = program.steps.length - 1; i >= 0; i--) {
    const step = program.steps[i]!;
    const behind = step.node.outputs
      .filter((name) => name !== '' && isFloatValue(program, name))
      .reduce<Reach>((best, name) => join(best, reach.get(name) ?? NONE), NONE);
    const inside = behind.kind === 'none' ? null : throughBodies(step, program, bodies, reach);
    for (const name of step.uses) {
      if (!isFloatValue(program, name)) continue;
      const through = inside ? (inside.get(name) ?? NONE) : pass(step, name, behind);
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
 * How the bodies of a step reach what the step uses: captured values, and the inputs that become the body's. null: the
 * step has no bodies.
 */
function throughBodies(
  step: Step,
  program: Program,
  bodies: Bodies,
  reach: ReadonlyMap<string, Reach>,
): ReadonlyMap<string, Reach> | null {
  const found = new Map<string, Reach>();
  const inner = subgraphs(step.node);
  for (const { graph } of inner) {
    const inside = throughBody(step, bodies(graph, program), bodies, reach);
    const add = (name: string, way: Reach | undefined): void => {
      found.set(name, join(found.get(name) ?? NONE, way ?? NONE));
    };
    for (const name of capturedNames(graph)) add(name, inside.get(name));
    step.node.inputs.forEach((name, i) => add(name, inside.get(graph.inputs[i - firstInput(step)]?.name ?? '')));
  }
  return inner.length > 0 ? found : null;
}

/** What a round carries to the next is an output and an input of the body: gone round until nothing changes. */
function throughBody(
  step: Step,
  body: Program,
  bodies: Bodies,
  reach: ReadonlyMap<string, Reach>,
): ReadonlyMap<string, Reach> {
  const skipped = step.operator.type === 'Loop' ? 1 : 0; // the condition
  const { inputs, outputs } = body.graph;
  const ends = new Map<string, Reach>();
  outputs
    .slice(skipped)
    .forEach(({ name }, i) =>
      ends.set(name, join(ends.get(name) ?? NONE, reach.get(step.node.outputs[i] ?? '') ?? NONE)),
    );
  for (;;) {
    const inside = spread(body, bodies, ends);
    let changed = false;
    outputs.slice(skipped, skipped + carriedCount(step)).forEach(({ name }, i) => {
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
function firstInput({ operator, opset }: Step): number {
  return operator.type === 'Scan' && opset < 9 ? 1 : 0;
}

function carriedCount(step: Step): number {
  const { operator, node } = step;
  if (operator.type === 'Loop') return Math.max(node.inputs.length - 2, 0);
  const scanned = node.attributes.get('num_scan_inputs');
  return operator.type === 'Scan' && scanned?.kind === 'int'
    ? node.inputs.length - firstInput(step) - scanned.value
    : 0;
}

/** The way on through a step, for the value `name` that it uses. */
function pass(step: Step, name: string, behind: Reach): Reach {
  if (behind.kind === 'none') return behind;
  const calculus = step.operator.differentiability;
  const blocked = (reason: string): Reach =>
    behind.kind === 'zero' ? behind : { kind: 'blocked', by: obstacle(step, reason) };
  if (!step.operator.device) return blocked(`${step.operator.type} has no gradient`);
  if (calculus.kind === 'full') return behind;
  if (calculus.kind === 'none') return blocked(calculus.reason);
  if (calculus.kind === 'zero')
    return behind.kind === 'blocked'
      ? behind
      : { kind: 'zero', by: obstacle(step, 'its gradient is zero almost everywhere') };
  const inputs = step.node.inputs.flatMap((input, i) => (input === name ? [i] : []));
  const open = inputs.every((input) => calculus.inputs.includes(input));
  return open
    ? behind
    : blocked(
        `no gradient is defined for input ${inputs.find((input) => !calculus.inputs.includes(input)) ?? 'values of its body'}`,
      );
}

function obstacle(step: Step, reason: string): Obstacle {
  return { node: nodeLabel(step.node), operator: step.operator.type, reason };
}

function isFloatValue({ types }: Program, name: string): boolean {
  return isFloatOf(types, name);
}

function isFloatOf(types: TypeTable, name: string): boolean {
  const type = types.typeOf(name);
  return type === null || type.dtype === 'undefined' || isFloat(type.dtype);
}
