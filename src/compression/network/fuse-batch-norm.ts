/**
 * Computes batch normalization, the sum with a shortcut, and the ReLU or clipping after it in one instruction: each is
 * bound by memory, and one kernel makes two passes instead of six. The graph does not change; a value in between that
 * is fetched or read elsewhere is computed by the single instructions.
 *
 *   BatchNormalization -> Relu | Clip;   BatchNormalization -> Add -> Relu | Clip
 */
import type { TypeTable } from '../graph/infer.ts';
import { batchNorm } from '../operators/normalization.ts';
import type { Operator } from '../operators/operator.ts';
import { inputName, outputName } from '../ir/checked-access.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import * as nn from '../tensor/nn.ts';
import { instructionsFor, type Instruction } from './program.ts';
import { isStandard, InstructionUses } from './instruction-uses.ts';

/** Inputs of the instruction: those of BatchNormalization, then the shortcut. */
const SHORTCUT_INPUT = 5;

export function fuseBatchNorm(
  instructions: readonly Instruction[],
  types: TypeTable,
  kept: ReadonlySet<string>,
): readonly Instruction[] {
  const uses = new InstructionUses(instructions, kept);
  const fused = new Map<Instruction, Instruction>();
  for (const instruction of instructions) {
    const clipping = clippingOf(instruction, types);
    const found = clipping && normalized(instruction, uses, types);
    if (found && !fused.has(found.norm)) fused.set(instruction, fusedInstruction(instruction, found, clipping));
  }
  if (fused.size === 0) return instructions;
  return instructionsFor(
    { instructions: instructions.map((instruction) => fused.get(instruction) ?? instruction) },
    kept,
  );
}

interface Normalized {
  readonly norm: Instruction;
  /** '': none. */
  readonly shortcut: string;
}

/** The normalization whose result, alone or plus a shortcut, the activation clips. */
function normalized(activation: Instruction, uses: InstructionUses, types: TypeTable): Normalized | null {
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
    if (!norm || !isNormalization(norm) || norm.layout !== before.layout || !uses.onlyUser(own)) continue;
    if (rank(own) !== undefined && rank(own) === rank(shortcut)) return { norm, shortcut };
  }
  return null;
}

/** Only with one output: further ones hold statistics. */
function isNormalization(instruction: Instruction): boolean {
  return (
    isStandard(instruction, 'BatchNormalization') && instruction.node.outputs.slice(1).every((name) => name === '')
  );
}

/** How an instruction clips; null where it does not, or its bounds are known only at run time. */
function clippingOf(instruction: Instruction, types: TypeTable): nn.Clipping | null {
  if (isStandard(instruction, 'Relu')) return nn.RELU;
  if (!isStandard(instruction, 'Clip') || types.typeOf(inputName(instruction.node))?.dtype !== 'float32') return null;
  const [low, high] = [bound(instruction, types, LOW), bound(instruction, types, HIGH)];
  return low !== null && high !== null && low <= high ? { low, high, passesAtLow: true } : null;
}

/** A bound of Clip: an attribute up to opset 10, an input from 11 on. */
interface Bound {
  readonly name: 'min' | 'max';
  readonly input: number;
  readonly none: number;
}
const LOW: Bound = { name: 'min', input: 1, none: -Infinity };
const HIGH: Bound = { name: 'max', input: 2, none: Infinity };

/** null where the bound is known only at run time. */
function bound({ node, opset }: Instruction, types: TypeTable, { name, input, none }: Bound): number | null {
  if (opset < 11) return types.info(node).float(name, none);
  if (!node.inputs[input]) return none;
  const value = types.constantOf(node.inputs[input]);
  return value && (hostNumbers(value)[0] ?? null);
}

function fusedInstruction(activation: Instruction, { norm, shortcut }: Normalized, clipping: nn.Clipping): Instruction {
  const inputs = [...norm.node.inputs.slice(0, SHORTCUT_INPUT), ...(shortcut === '' ? [] : [shortcut])];
  const operator: Operator = {
    ...norm.operator,
    layout: { kind: 'channels-last', inputs: shortcut === '' ? [0] : [0, SHORTCUT_INPUT], outputs: [0] },
    device: (ctx) =>
      batchNorm(ctx, { clipping, ...(shortcut === '' ? {} : { shortcut: ctx.tensor(SHORTCUT_INPUT) }) }).slice(0, 1),
  };
  const node = { ...norm.node, name: activation.node.name, inputs, outputs: [outputName(activation.node)] };
  return { ...norm, node, operator, outputTypes: activation.outputTypes, uses: new Set(inputs) };
}
