/**
 * Finds attention as exporters write it (projections by heads, product, scaling, mask, softmax, product, heads merged)
 * and computes it in one instruction. The kernel reads heads in place, so their transposes disappear too. The graph
 * does not change, only how a run computes it; a fetched value in between is computed by the single instructions.
 *
 *   softmax(q k' * factors + mask) v, transposed
 */
import { elementAt, inputName, outputName } from '../ir/checked-access.ts';
import type { TypeTable } from '../graph/infer.ts';
import { attentionInstruction, type Attention, type Factor, type Operand } from './attention-instruction.ts';
import { instructionsFor, type Instruction } from './program.ts';
import { isStandard, InstructionUses } from './instruction-uses.ts';

export interface FusionContext {
  readonly types: TypeTable;
  /** Values that must exist after the run. */
  readonly kept: ReadonlySet<string>;
  /** Values that gradients may flow into: weights, float inputs, and what is computed from them. */
  readonly learns: ReadonlySet<string>;
}

/** The instructions with one for each attention, without those that only it needed. */
export function fuseAttention(
  instructions: readonly Instruction[],
  surroundings: FusionContext,
): readonly Instruction[] {
  const finder = new Finder(instructions, surroundings);
  const fused = new Map<Instruction, Instruction>();
  for (const instruction of instructions) {
    const found = finder.attention(instruction);
    if (found) fused.set(...finder.merged(instruction, found));
  }
  if (fused.size === 0) return instructions;
  return instructionsFor(
    { instructions: instructions.map((instruction) => fused.get(instruction) ?? instruction) },
    surroundings.kept,
  );
}

class Finder {
  private readonly uses: InstructionUses;
  private readonly around: FusionContext;

  constructor(instructions: readonly Instruction[], around: FusionContext) {
    this.around = around;
    this.uses = new InstructionUses(instructions, around.kept);
  }

  /** The attention whose last product an instruction is. */
  attention(instruction: Instruction): Attention | null {
    if (!isStandard(instruction, 'MatMul')) return null;
    const [shares, values] = instruction.node.inputs as [string, string];
    const rank = this.rank(outputName(instruction.node));
    if (rank !== 3 && rank !== 4) return null;
    const scores = this.softmaxed(shares, rank);
    const scored = scores === null ? null : (this.scored(scores, '', rank) ?? this.masked(scores, rank));
    const v = this.operand(values, rank, rank - 1, (at) => this.transposed(at, rank));
    return scored && v && { ...scored, v };
  }

  /**
   * The instruction that computes the attention instead of another: of its last product, or of the transpose that
   * merges the heads.
   */
  merged(product: Instruction, found: Attention): [Instruction, Instruction] {
    const maskLearns = this.around.learns.has(found.mask);
    const rank = found.v.order.length;
    const next = this.uses.onlyUser(outputName(product.node));
    if (next && isStandard(next, 'Transpose')) {
      const perm = permutation(next, rank);
      if (perm.at(-1) === rank - 1) return [next, attentionInstruction(next, found, inverse(perm), maskLearns)];
    }
    return [product, attentionInstruction(product, found, range(rank), maskLearns)];
  }

  /** The value that `shares` is the softmax of, along the last axis; null: none. */
  private softmaxed(shares: string, rank: number): string | null {
    const instruction = this.uses.producer(shares);
    if (!instruction || !isStandard(instruction, 'Softmax') || !this.isPrivate(shares)) return null;
    const attribute = instruction.node.attributes.get('axis');
    const axis = attribute?.kind === 'int' ? attribute.value : instruction.opset < 13 ? 1 : -1;
    return (axis + rank) % rank === rank - 1 ? inputName(instruction.node) : null;
  }

  /** Scores to which a mask is added. */
  private masked(sum: string, rank: number): Omit<Attention, 'v'> | null {
    const instruction = this.uses.producer(sum);
    if (!instruction || !isStandard(instruction, 'Add') || !this.isPrivate(sum)) return null;
    const [a, b] = instruction.node.inputs as [string, string];
    return this.scored(a, b, rank) ?? this.scored(b, a, rank);
  }

  /** Scores: the product of queries and keys, times single numbers. */
  private scored(name: string, mask: string, rank: number): Omit<Attention, 'v'> | null {
    const factors: Factor[] = [];
    let value = name;
    for (let scaled = this.scaled(value); scaled; scaled = this.scaled(value)) {
      if (!this.isPrivate(value)) return null;
      factors.push(scaled.factor);
      value = scaled.name;
    }
    const product = this.uses.producer(value);
    if (!product || !isStandard(product, 'MatMul') || !this.isPrivate(value) || this.rank(value) !== rank) return null;
    if (mask !== '' && (this.rank(mask) ?? Infinity) > rank) return null;
    const before = (at: Operand): Operand | null => this.multiplied(at) ?? this.transposed(at, rank);
    const [q, turned] = [
      this.operand(inputName(product.node), rank, rank - 1, before),
      this.operand(inputName(product.node, 1), rank, rank - 2, before),
    ];
    if (!q || !turned) return null;
    const k = { ...turned, order: [...turned.order.slice(0, -2), ...turned.order.slice(-2).reverse()] };
    return { q, k, mask, factors: [...factors, ...q.factors, ...k.factors] };
  }

  /**
   * Follows `before` back from an operand to the farthest value with the operand's axis `features` last; null: none.
   */
  private operand(
    name: string,
    rank: number,
    features: number,
    before: (at: Operand) => Operand | null,
  ): Operand | null {
    let best: Operand | null = null;
    let at: Operand | null = { name, order: range(rank), factors: [] };
    while (at && this.rank(at.name) === rank) {
      if (at.order[features] === rank - 1) best = at;
      at = before(at);
    }
    return best;
  }

  private multiplied({ name, order, factors }: Operand): Operand | null {
    const scaled = this.scaled(name);
    return scaled && { name: scaled.name, order, factors: [...factors, scaled.factor] };
  }

  private transposed({ name, order, factors }: Operand, rank: number): Operand | null {
    const instruction = this.uses.producer(name);
    if (!instruction || !isStandard(instruction, 'Transpose')) return null;
    const perm = permutation(instruction, rank);
    return { name: inputName(instruction.node), order: order.map((axis) => elementAt(perm, axis, 'axis')), factors };
  }

  private scaled(name: string): { name: string; factor: Factor } | null {
    const instruction = this.uses.producer(name);
    if (!instruction || !(isStandard(instruction, 'Mul') || isStandard(instruction, 'Div'))) return null;
    const [a, b] = instruction.node.inputs as [string, string];
    if (this.isNumber(b)) return { name: a, factor: { name: b, divides: instruction.operator.type === 'Div' } };
    return instruction.operator.type === 'Mul' && this.isNumber(a)
      ? { name: b, factor: { name: a, divides: false } }
      : null;
  }

  /** A single float that no gradient flows into. */
  private isNumber(name: string): boolean {
    const shape = this.around.types.typeOf(name)?.shape;
    return !!shape && shape.length <= 1 && shape.every((dim) => dim === 1) && !this.around.learns.has(name);
  }

  /** Whether one instruction alone reads the value, once, and nothing after the run. */
  private isPrivate(name: string): boolean {
    return this.uses.onlyUser(name) !== null;
  }

  private rank(name: string): number | undefined {
    return this.around.types.typeOf(name)?.shape?.length;
  }
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function permutation({ node }: Instruction, rank: number): readonly number[] {
  const perm = node.attributes.get('perm');
  return perm?.kind === 'ints' ? perm.value : range(rank).reverse();
}

function inverse(perm: readonly number[]): number[] {
  return range(perm.length).map((axis) => perm.indexOf(axis));
}
