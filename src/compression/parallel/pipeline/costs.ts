/** What each instruction of a network costs, from its operator and the shapes of one micro-batch. */
import { inferShapes, type TypeTable } from '../../graph/infer.ts';
import type { TensorType } from '../../ir/types.ts';
import { computed } from '../../network/lower.ts';
import type { NetworkParts } from '../../network/network-parts.ts';
import type { Instruction } from '../../network/program.ts';

export interface InstructionCost {
  /** Time of the forward pass, in multiply-accumulates that take as long, or as measured in any one unit. */
  readonly work: number;
  /** Of each output, in the instruction's order; 0 where the shape is unknown. */
  readonly outputBytes: readonly number[];
}

export interface NetworkCosts {
  readonly instructions: readonly InstructionCost[];
  /** Work that takes as long as moving one byte to another process. */
  readonly workPerByte: number;
}

/**
 * An element that is only read and written takes as long as this many multiply-accumulates of a convolution: 1 to 2
 * billion elements a second and core against 30 to 60 billion multiply-accumulates.
 */
const MACS_PER_ELEMENT = 32;
/** A local socket moves about 1 GB/s, in and out. */
const MACS_PER_BYTE = 50;

/** @param inputShapes of a micro-batch, by model input */
export function estimateCosts(
  { model, program }: NetworkParts,
  inputShapes: ReadonlyMap<string, readonly number[]>,
): NetworkCosts {
  const types = inferShapes(computed(model), { inputShapes });
  return { instructions: program.instructions.map((each) => costOf(each, types)), workPerByte: MACS_PER_BYTE };
}

/** The same with measured times of the forward pass, in ms by instruction. */
export function measuredCosts(estimate: NetworkCosts, forwardMs: readonly number[], bytesPerMs: number): NetworkCosts {
  const instructions = estimate.instructions.map((cost, i) => ({ ...cost, work: forwardMs[i] ?? 0 }));
  return { instructions, workPerByte: 1 / bytesPerMs };
}

function costOf({ node, operator, outputTypes }: Instruction, types: TypeTable): InstructionCost {
  const outputs = node.outputs.map((name, i) => (name === '' ? null : (types.typeOf(name) ?? outputTypes[i] ?? null)));
  const elements = outputs.map((type) => (type ? (elementsOf(type) ?? 0) : 0));
  const known = outputs.every((type) => type === null || elementsOf(type) !== null);
  const macs = known
    ? (operator.macs?.(
        types.info(node),
        outputs.map((type) => type ?? UNKNOWN),
      ) ?? 0)
    : 0;
  return {
    work: macs + MACS_PER_ELEMENT * elements.reduce((a, b) => a + b, 0),
    outputBytes: elements.map((count) => 4 * count), // the engine computes in 32 bits
  };
}

const UNKNOWN: TensorType = { dtype: 'undefined', shape: null };

function elementsOf({ shape }: TensorType): number | null {
  if (!shape) return null;
  let elements = 1;
  for (const dim of shape) {
    if (typeof dim !== 'number') return null;
    elements *= dim;
  }
  return elements;
}
