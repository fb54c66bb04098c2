/** Matrix products and sums of products. */
import type { WriteContext } from './context.ts';
import { boolAttribute, intAttribute, textAttribute } from './tf-graph.ts';
import { transpose } from './transpose.ts';

export function gemm(ctx: WriteContext): string {
  const { info, tf } = ctx;
  const product = ctx.op('MatMul', [ctx.input(0), ctx.input(1)], {
    transpose_a: boolAttribute(info.int('transA', 0) !== 0),
    transpose_b: boolAttribute(info.int('transB', 0) !== 0),
  });
  const scaled = info.float('alpha', 1) === 1 ? product : ctx.op('Mul', [product, tf.float(info.float('alpha', 1))]);
  if (!ctx.has(2)) return scaled;
  const beta = info.float('beta', 1);
  return ctx.op('AddV2', [scaled, beta === 1 ? ctx.input(2) : ctx.op('Mul', [ctx.input(2), tf.float(beta)])]);
}

export function matMul(ctx: WriteContext): string {
  if (ctx.rank(0) < 2 || ctx.rank(1) < 2) return ctx.refuse('products of vectors');
  if (ctx.rank(0) === 2 && ctx.rank(1) === 2) return ctx.op('MatMul', ctx.inputs);
  return ctx.op('BatchMatMulV2', ctx.inputs, { adj_x: boolAttribute(false), adj_y: boolAttribute(false) });
}

/** TF.js does not support dots, so letters replace them. An equation that only permutes axes is a transposition. */
export function einsum(ctx: WriteContext): string {
  const equation = ctx.info.string('equation', '').replace(/\s/g, '');
  const [left = '', right] = equation.split('->');
  if (right === undefined) return ctx.refuse('an equation without its result');
  const dots = Math.max(
    ...left.split(',').map((term, i) => (term.includes('...') ? ctx.rank(i) - term.replace('...', '').length : 0)),
  );
  const free = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
    .filter((letter) => !equation.includes(letter))
    .slice(0, dots)
    .join('');
  const terms = left
    .split(',')
    .map((term, i) => term.replace('...', free.slice(free.length - (ctx.rank(i) - term.replace('...', '').length))));
  const result = right.replace('...', free);
  if (terms.some((term) => new Set(term).size !== term.length) || terms.length > 2)
    return ctx.refuse(`the equation ${equation}`);
  const [term = ''] = terms;
  if (terms.length === 1 && [...result].sort().join() === [...term].sort().join())
    return transpose(
      ctx,
      ctx.input(0),
      [...result].map((letter) => term.indexOf(letter)),
    );
  return ctx.op('Einsum', ctx.inputs, {
    equation: textAttribute(`${terms.join(',')}->${result}`),
    N: intAttribute(terms.length),
  });
}
