/**
 * Einstein summation: any equation, ellipses, repeated indices, any number of operands. Differentiable, since it is
 * made of moves and products.
 */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim, TensorType } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { einsum } from './channels/einsum.ts';
import { FULL, ONNX_ORDER } from './define.ts';
import { takeElements } from './device/rows.ts';
import { viewOffsets } from './host/offsets.ts';
import { matMul } from './matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { isConcrete, shapeOf, sizeOf, stridesOf, typeOf } from './shapes.ts';

/**
 * An index: a letter, or `.k` for the k-th axis of the ellipsis, counted from its right (so that those of several
 * operands align).
 */
type Label = string;

interface Equation {
  readonly operands: readonly (readonly Label[])[];
  readonly output: readonly Label[];
}

/** @throws GraphError where the equation does not fit the ranks of the operands. */
export function parseEquation(text: string, ranks: readonly number[]): Equation {
  const [left = '', right, ...more] = text.replace(/\s/g, '').split('->');
  const terms = left.split(',');
  if (more.length > 0 || terms.length !== ranks.length)
    throw new GraphError(`equation "${text}" does not take ${ranks.length} operands`);
  const operands = terms.map((term, i) => labelsOf(term, text, nth(ranks, i)));
  const dots = operands.flat().filter(isDots);
  const ellipsis = [...new Set(dots)].sort((a, b) => Number(b.slice(1)) - Number(a.slice(1)));
  const output = right === undefined ? implicitOutput(operands, ellipsis) : outputLabels(right, text, ellipsis);
  const known = new Set(operands.flat());
  const stray = output.find((label, i) => !known.has(label) || output.indexOf(label) !== i);
  if (stray)
    throw new GraphError(
      `equation "${text}" gives index "${stray}", which ${known.has(stray) ? 'it names twice' : 'no operand has'}`,
    );
  return { operands, output };
}

const isDots = (label: Label): boolean => label.startsWith('.');

function labelsOf(term: string, equation: string, rank: number): Label[] {
  const [before = '', after, ...more] = term.split('...');
  const letters = [...before, ...(after ?? '')];
  const dots = rank - letters.length;
  if (
    more.length > 0 ||
    !letters.every((letter) => /[A-Za-z]/.test(letter)) ||
    dots < 0 ||
    (after === undefined && dots > 0)
  ) {
    throw new GraphError(`"${term}" of equation "${equation}" does not fit an operand of rank ${rank}`);
  }
  return [...before, ...Array.from({ length: dots }, (_, i) => `.${dots - 1 - i}`), ...(after ?? '')];
}

function outputLabels(term: string, equation: string, ellipsis: readonly Label[]): Label[] {
  const [before = '', after, ...more] = term.split('...');
  if (more.length > 0 || ![...before, ...(after ?? '')].every((letter) => /[A-Za-z]/.test(letter)))
    throw new GraphError(`the result of equation "${equation}" must consist of letters and at most one ellipsis`);
  return after === undefined ? [...before] : [...before, ...ellipsis, ...after];
}

/** The ellipsis, then the letters that occur once, in alphabetical order. */
function implicitOutput(operands: readonly (readonly Label[])[], ellipsis: readonly Label[]): Label[] {
  const letters = operands.flat().filter((label) => !isDots(label));
  return [
    ...ellipsis,
    ...[...new Set(letters)].filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter)).sort(),
  ];
}

interface Operand {
  readonly tensor: TfTensor;
  readonly labels: readonly Label[];
}

function run(ctx: RunContext): TfTensor[] {
  if (ctx.dtype(0) !== 'float32' && !ctx.dtype(0).includes('float'))
    throw new LatheError('unsupported-operator', `Einsum of ${ctx.dtype(0)} is not computed by the training engine`);
  const tensors = Array.from({ length: ctx.inputCount }, (_, i) => ctx.tensor(i));
  const { operands, output } = parseEquation(
    ctx.string('equation', ''),
    tensors.map(({ rank }) => rank),
  );
  const given = tensors.map((tensor, i) => diagonal({ tensor, labels: nth(operands, i) }));
  let result = nth(given, 0);
  given.slice(1).forEach((next, i) => {
    const needed = new Set([...output, ...given.slice(i + 2).flatMap(({ labels }) => labels)]);
    result = contract(result, next, needed);
  });
  return [arrange(sumOut(result, new Set(output)), output)];
}

/** Takes x[i, i] where an operand names an index twice. */
function diagonal({ tensor, labels }: Operand): Operand {
  const unique = [...new Set(labels)];
  if (unique.length === labels.length) return { tensor, labels };
  const sizes = unique.map((label) => nth(tensor.shape, labels.indexOf(label)));
  labels.forEach((label, axis) => {
    if (tensor.shape[axis] !== sizes[unique.indexOf(label)])
      throw new GraphError(`index "${label}" has sizes ${sizes[unique.indexOf(label)]} and ${tensor.shape[axis]}`);
  });
  const strides = stridesOf(tensor.shape);
  const steps = unique.map((label) =>
    labels.reduce((sum, other, axis) => (other === label ? sum + nth(strides, axis) : sum), 0),
  );
  return { tensor: takeElements(tensor, viewOffsets(sizes, steps), sizes), labels: unique };
}

/** Sums over the indices that neither the result nor another operand needs. */
function sumOut({ tensor, labels }: Operand, needed: ReadonlySet<Label>): Operand {
  const axes = labels.flatMap((label, axis) => (needed.has(label) ? [] : [axis]));
  return axes.length === 0
    ? { tensor, labels }
    : { tensor: tf.sum(tensor, axes), labels: labels.filter((label) => needed.has(label)) };
}

function arrange({ tensor, labels }: Operand, order: readonly Label[]): TfTensor {
  const perm = order.map((label) => labels.indexOf(label));
  return perm.every((axis, i) => axis === i) ? tf.clone(tensor) : tf.transpose(tensor, perm);
}

/**
 * One batched matrix product: shared indices that are still needed become batch axes, the other shared ones are summed.
 */
function contract(a: Operand, b: Operand, needed: ReadonlySet<Label>): Operand {
  const left = sumOut(a, new Set([...needed, ...b.labels]));
  const right = sumOut(b, new Set([...needed, ...a.labels]));
  const shared = left.labels.filter((label) => right.labels.includes(label));
  const [batch, summed] = [shared.filter((label) => needed.has(label)), shared.filter((label) => !needed.has(label))];
  const freeOf = ({ labels }: Operand): Label[] => labels.filter((label) => !shared.includes(label));
  const sizes = (operand: Operand, labels: readonly Label[]): number[] =>
    labels.map((label) => nth(operand.tensor.shape, operand.labels.indexOf(label)));
  requireEqual(summed, sizes(left, summed), sizes(right, summed));
  const [rows, columns] = [freeOf(left), freeOf(right)];
  const inner = sizeOf(sizes(left, summed));
  const x = tf.reshape(arrange(left, [...batch, ...rows, ...summed]), [
    ...sizes(left, batch),
    sizeOf(sizes(left, rows)),
    inner,
  ]);
  const y = tf.reshape(arrange(right, [...batch, ...summed, ...columns]), [
    ...sizes(right, batch),
    inner,
    sizeOf(sizes(right, columns)),
  ]);
  const product = matMul(x, y);
  return {
    tensor: tf.reshape(product, [...product.shape.slice(0, -2), ...sizes(left, rows), ...sizes(right, columns)]),
    labels: [...batch, ...rows, ...columns],
  };
}

function requireEqual(labels: readonly Label[], a: readonly number[], b: readonly number[]): void {
  labels.forEach((label, i) => {
    if (a[i] !== b[i]) throw new GraphError(`index "${label}" has sizes ${a[i]} and ${b[i]}`);
  });
}

/** Sizes by label; null where an operand's rank is not known. */
function labelSizes(info: NodeInfo): { equation: Equation; sizes: Map<Label, Dim> } | null {
  const shapes = info.node.inputs.map((_, i) => shapeOf(info, i));
  if (!shapes.every((shape) => shape !== null)) return null;
  const equation = parseEquation(
    info.string('equation', ''),
    shapes.map((shape) => shape.length),
  );
  const sizes = new Map<Label, Dim>();
  equation.operands.forEach((labels, i) =>
    labels.forEach((label, axis) => {
      const [known, dim] = [sizes.get(label), nth(nth(shapes, i), axis)];
      if (known === undefined || known === 1 || (typeof known !== 'number' && typeof dim === 'number' && dim !== 1))
        sizes.set(label, dim);
    }),
  );
  return { equation, sizes };
}

function infer(info: NodeInfo): Inferred[] {
  const known = labelSizes(info);
  return [
    { dtype: typeOf(info).dtype, shape: known && known.equation.output.map((label) => known.sizes.get(label) ?? null) },
  ];
}

/** As one sum over all indices, for two operands and more. */
function macs(info: NodeInfo, _outputs: readonly TensorType[]): number {
  const sizes = info.node.inputs.length < 2 ? null : labelSizes(info)?.sizes;
  const all = sizes && [...sizes.values()];
  return all && isConcrete(all) ? sizeOf(all) : 0;
}

export const einsumOperators: readonly Operator[] = [
  {
    type: 'Einsum',
    domain: '',
    since: 12,
    layout: ONNX_ORDER,
    differentiability: FULL,
    infer,
    device: run,
    macs,
    channels: einsum(parseEquation),
  },
];
