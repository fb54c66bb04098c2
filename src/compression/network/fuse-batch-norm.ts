/**
 * Batch normalization, the sum with a shortcut, and ReLU or clipping after it as one step: each waits for memory, and
 * one kernel makes two passes of what is six. The graph stays as it is; where a value between is asked for or read by
 * something else, the single steps compute it.
 *
 *   BatchNormalization -> Relu | Clip;   BatchNormalization -> Add -> Relu | Clip
 */
import type { TypeTable } from '../graph/infer.ts';
import { batchNorm } from '../operators/normalization.ts';
import type { Operator } from '../operators/operator.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import * as nn from '../tensor/nn.ts';
import { stepsFor, type Step } from './program.ts';
import { isStandard, StepUses } from './step-uses.ts';

/** Inputs of the step: those of BatchNormalization, then the shortcut. */
const SHORTCUT = 5;

export function fuseBatchNorm(steps: readonly Step[], types: TypeTable, kept: ReadonlySet<string>): readonly Step[] {
  const uses = new StepUses(steps, kept);
  const fused = new Map<Step, Step>();
  for (const step of steps) {
    const clipping = clippingOf(step, types);
    const found = clipping && normalized(step, uses, types);
    if (found && !fused.has(found.norm)) fused.set(step, fusedStep(step, found, clipping));
  }
  if (fused.size === 0) return steps;
  return stepsFor({ steps: steps.map((step) => fused.get(step) ?? step) }, kept);
}

interface Normalized {
  readonly norm: Step;
  /** '': none. */
  readonly shortcut: string;
}

/** The normalization whose result, alone or with a shortcut, an activation clips. */
function normalized(activation: Step, uses: StepUses, types: TypeTable): Normalized | null {
  const rank = (name: string) => types.typeOf(name)?.shape?.length;
  const [x = ''] = activation.node.inputs;
  const before = uses.producer(x);
  if (!before || before.layout !== activation.layout || !uses.onlyUser(x)) return null;
  if (isNormalization(before)) return { norm: before, shortcut: '' };
  if (!isStandard(before, 'Add')) return null;
  const [a, b] = before.node.inputs as [string, string];
  for (const [own, shortcut] of [
    [a, b],
    [b, a],
  ] as const) {
    const norm = uses.producer(own);
    if (
      norm &&
      isNormalization(norm) &&
      norm.layout === before.layout &&
      uses.onlyUser(own) &&
      rank(own) !== undefined &&
      rank(own) === rank(shortcut)
    )
      return { norm, shortcut };
  }
  return null;
}

/** One result only: others hold statistics. */
function isNormalization(step: Step): boolean {
  return isStandard(step, 'BatchNormalization') && step.node.outputs.slice(1).every((name) => name === '');
}

/** How a step clips; null where it does not, or by bounds that are not known yet. */
function clippingOf(step: Step, types: TypeTable): nn.Clipping | null {
  if (isStandard(step, 'Relu')) return nn.RELU;
  if (!isStandard(step, 'Clip') || types.typeOf(step.node.inputs[0]!)?.dtype !== 'float32') return null;
  const [low, high] = [bound(step, types, 'min', 1, -Infinity), bound(step, types, 'max', 2, Infinity)];
  return low !== null && high !== null && low <= high ? { low, high, passesAtLow: true } : null;
}

function bound(
  { node, opset }: Step,
  types: TypeTable,
  name: 'min' | 'max',
  input: number,
  none: number,
): number | null {
  if (opset < 11) return types.info(node).float(name, none);
  if (!node.inputs[input]) return none;
  const value = types.constantOf(node.inputs[input]);
  return value && (hostNumbers(value)[0] ?? null);
}

function fusedStep(activation: Step, { norm, shortcut }: Normalized, clipping: nn.Clipping): Step {
  const inputs = [...norm.node.inputs.slice(0, SHORTCUT), ...(shortcut === '' ? [] : [shortcut])];
  const operator: Operator = {
    ...norm.operator,
    layout: { kind: 'channels-last', inputs: shortcut === '' ? [0] : [0, SHORTCUT], outputs: [0] },
    device: (ctx) =>
      batchNorm(ctx, { clipping, ...(shortcut === '' ? {} : { shortcut: ctx.tensor(SHORTCUT) }) }).slice(0, 1),
  };
  const node = { ...norm.node, name: activation.node.name, inputs, outputs: [activation.node.outputs[0]!] };
  return { ...norm, node, operator, outputTypes: activation.outputTypes, uses: new Set(inputs) };
}
