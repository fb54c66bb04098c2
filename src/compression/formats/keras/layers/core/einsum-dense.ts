/** EinsumDense: one MatMul where the equation allows it. */
import { itemOf } from '../../../../ir/checked-access.ts';
import { activate } from '../../activations.ts';
import {
  constant,
  input,
  text,
  UnsupportedLayer,
  weight,
  type LayerContext,
  type LayerConverter,
} from '../../layer.ts';
import { plain, plainSignal } from '../../signal.ts';

/**
 * `equation` contracts axes of the input with the kernel. Where they are the input's last and the kernel's first it is
 * one MatMul, which prunes and quantizes like Dense; otherwise Einsum.
 */
export const einsumDense: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const kernel = weight(ctx, 0, 'kernel');
  const [left, right, out] = einsumTerms(text(config, 'equation', ''), signal.shape.length, kernel.dims.length);
  const sizes = new Map([
    ...[...left].map((letter, axis) => [letter, signal.shape[axis] ?? null] as const),
    ...[...right].map((letter, axis) => [letter, itemOf(kernel.dims, axis, 'the shape of the kernel')] as const),
  ]);
  const shape = [...out].map((letter) => sizes.get(letter) ?? null);
  const equation = `${left},${right}->${out}`;
  const shared = [...left].filter((letter) => right.includes(letter)).join('');
  const [before, after] = [left.slice(0, left.length - shared.length), right.slice(shared.length)];
  const x = plain(b, signal);
  const isProduct =
    shared !== '' && before !== '' && `${before}${shared},${shared}${after}->${before}${after}` === equation;
  let value = isProduct
    ? matrixProduct(ctx, x, { kept: before.length, shared: shared.length })
    : b.op('Einsum', [x, constant(ctx, 'kernel', kernel)], { equation }, `${name}/einsum`);
  if (config['bias_axes'] != null)
    value = b.op('Add', [value, constant(ctx, 'bias', weight(ctx, 1, 'bias'))], {}, `${name}/add`);
  return activate(ctx, plainSignal(value, shape), config['activation']);
};

/** x [kept..., shared...] times the kernel [shared..., rest...], as matrices. */
function matrixProduct(
  ctx: LayerContext,
  x: string,
  { kept, shared }: { readonly kept: number; readonly shared: number },
): string {
  const { b, name } = ctx;
  const { dims, values } = weight(ctx, 0, 'kernel');
  const inner = dims.slice(0, shared).reduce((a, d) => a * d, 1);
  const keep = Array.from({ length: kept }, () => 0);
  const flat = shared === 1 ? x : b.op('Reshape', [x, b.ints([...keep, inner])], {}, `${name}/flat`);
  const matrix = b.weight(`${name}/kernel`, [inner, values.length / inner], values);
  const product = b.op('MatMul', [flat, matrix], {}, `${name}/matmul`);
  const rest = dims.slice(shared);
  return rest.length === 1 ? product : b.op('Reshape', [product, b.ints([...keep, ...rest])], {}, `${name}/shaped`);
}

/** The three terms with an ellipsis written out in letters that the equation does not use. */
function einsumTerms(equation: string, rank: number, kernelRank: number): [string, string, string] {
  const [inputs, out] = equation.replaceAll(' ', '').split('->');
  const [left, right] = (inputs ?? '').split(',');
  if (left === undefined || right === undefined || out === undefined)
    throw new UnsupportedLayer(`the equation "${equation}" is not supported`);
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((letter) => !equation.includes(letter));
  const hidden = free.slice(0, Math.max(rank - left.replace('...', '').length, 0)).join('');
  const terms = [left, right, out].map((term) => term.replace('...', hidden)) as [string, string, string];
  if (terms[0].length !== rank || terms[1].length !== kernelRank)
    throw new Error(`the equation "${equation}" does not fit tensors of ${rank} and ${kernelRank} axes`);
  return terms;
}
