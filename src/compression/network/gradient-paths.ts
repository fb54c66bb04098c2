/**
 * Which weights gradients reach. A weight is trained where a chain of operators with gradients leads from it to an output; an operator without
 * one on any such chain freezes the weights before it, rather than let them be trained with a part of their gradient.
 */
import { isFloat } from '../graph/tensor-data.ts';
import { nodeLabel } from '../graph/graph-error.ts';
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

/** For every value of the program, whether and how gradients of the outputs reach it. */
export function gradientPaths(program: Program): ReadonlyMap<string, Reach> {
  const reach = new Map<string, Reach>();
  for (const { name } of program.graph.outputs) if (isFloatValue(program, name)) reach.set(name, { kind: 'open' });
  for (let i = program.steps.length - 1; i >= 0; i--) {
    const step = program.steps[i]!;
    const behind = step.node.outputs.filter((name) => name !== '' && isFloatValue(program, name)).reduce<Reach>((best, name) => join(best, reach.get(name) ?? NONE), NONE);
    for (const name of step.uses) {
      if (!isFloatValue(program, name)) continue;
      const through = pass(step, name, behind);
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

/** The way on through a step, for the value `name` that it uses. */
function pass(step: Step, name: string, behind: Reach): Reach {
  if (behind.kind === 'none') return behind;
  const calculus = step.operator.differentiability;
  const blocked = (reason: string): Reach => (behind.kind === 'zero' ? behind : { kind: 'blocked', by: obstacle(step, reason) });
  if (!step.operator.device) return blocked(`${step.operator.type} has no gradient`);
  if (calculus.kind === 'full') return behind;
  if (calculus.kind === 'none') return blocked(calculus.reason);
  if (calculus.kind === 'zero') return behind.kind === 'blocked' ? behind : { kind: 'zero', by: obstacle(step, 'its gradient is zero almost everywhere') };
  const inputs = step.node.inputs.flatMap((input, i) => (input === name ? [i] : []));
  const open = inputs.every((input) => calculus.inputs.includes(input));
  return open ? behind : blocked(`no gradient is defined for input ${inputs.find((input) => !calculus.inputs.includes(input)) ?? 'values of its body'}`);
}

function obstacle(step: Step, reason: string): Obstacle {
  return { node: nodeLabel(step.node), operator: step.operator.type, reason };
}

function isFloatValue(program: Program, name: string): boolean {
  const type = program.types.typeOf(name);
  return type === null || type.dtype === 'undefined' || isFloat(type.dtype);
}
