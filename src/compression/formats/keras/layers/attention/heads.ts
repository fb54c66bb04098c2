/** The pieces that multi-head attention is made of: projections to heads and back, axes, gates. */
import { tupleOf } from '../../../../ir/checked-access.ts';
import { flag, UnsupportedLayer, weight, type LayerContext, type WeightArray } from '../../layer.ts';
import { range, type Signal } from '../../signal.ts';

export interface Projection {
  readonly kernel: WeightArray;
  readonly bias: WeightArray | null;
}

/** Heads and their size, from the kernel [d, heads, size]. */
export function headsOf({ kernel }: Projection): { heads: number; size: number } {
  const [, heads, size] = tupleOf(kernel.dims, 3, 'the shape of a projection kernel');
  return { heads, size };
}

export interface Projected {
  readonly x: string;
  readonly rank: number;
  readonly projection: Projection;
  readonly label: string;
}

/** x [..., d] times kernel [d, heads, size] -> [..., heads, size], for x of `rank`. */
export function project(
  { b, name }: LayerContext,
  { x, rank, projection: { kernel, bias }, label }: Projected,
): string {
  const [depth, heads, size] = tupleOf(kernel.dims, 3, `the shape of the ${label} kernel`);
  const w = b.weight(`${name}/${label}/kernel`, [depth, heads * size], kernel.values);
  let projected = b.op('MatMul', [x, w], {}, `${name}/${label}`);
  if (bias)
    projected = b.op(
      'Add',
      [projected, b.weight(`${name}/${label}/bias`, [heads * size], bias.values)],
      {},
      `${name}/${label}_biased`,
    );
  return b.op(
    'Reshape',
    [projected, b.ints([...range(0, rank - 1).map(() => 0), heads, size])],
    {},
    `${name}/${label}_heads`,
  );
}

/** How [b, ...axes, heads, size] becomes [b, free..., heads, attended, size] and back. */
export interface Axes {
  readonly free: readonly number[];
  readonly attended: readonly number[];
  readonly rank: number;
}

interface ByHead {
  readonly x: string;
  readonly axes: Axes;
  readonly size: number;
  readonly label: string;
}

export function byHead({ b, name }: LayerContext, { x, axes: { free, attended, rank }, size, label }: ByHead): string {
  const moved = b.op('Transpose', [x], { perm: [0, ...free, rank - 1, ...attended, rank] }, `${name}/${label}_by_head`);
  return attended.length === 1
    ? moved
    : b.op(
        'Reshape',
        [moved, b.ints([...range(0, free.length + 2).map(() => 0), -1, size])],
        {},
        `${name}/${label}_flat`,
      );
}

interface ByStep {
  readonly mixed: string;
  readonly axes: Axes;
  readonly query: Signal;
  readonly size: number;
}

/** The inverse, which separates the attended axes of `query` again. */
export function byStep(
  { b, name }: LayerContext,
  { mixed, axes: { free, attended, rank }, query, size }: ByStep,
): string {
  const order = [0, ...free, rank - 1, ...attended, rank];
  const sizes = attended.map((axis) => query.shape[axis] ?? null);
  if (attended.length > 1 && sizes.some((one) => one === null))
    throw new UnsupportedLayer('attention over several axes of dynamic size is not supported');
  const apart =
    attended.length === 1
      ? mixed
      : b.op(
          'Reshape',
          [mixed, b.ints([...range(0, free.length + 2).map(() => 0), ...sizes.map(Number), size])],
          {},
          `${name}/apart`,
        );
  return b.op('Transpose', [apart], { perm: range(0, rank + 1).map((axis) => order.indexOf(axis)) }, `${name}/by_step`);
}

/** Kernels and biases in the order query, key, (gate,) value, output. */
export function projections(ctx: LayerContext): Record<'query' | 'key' | 'gate' | 'value' | 'output', Projection> {
  const biased = flag(ctx.config, 'use_bias', true);
  const names = ['query', 'key', ...(flag(ctx.config, 'use_gate', false) ? ['gate'] : []), 'value', 'output'];
  const at = (what: string): Projection => {
    const index = names.indexOf(what) * (biased ? 2 : 1);
    return {
      kernel: weight(ctx, index, `${what} kernel`),
      bias: biased ? weight(ctx, index + 1, `${what} bias`) : null,
    };
  };
  return {
    query: at('query'),
    key: at('key'),
    gate: names.includes('gate') ? at('gate') : at('query'),
    value: at('value'),
    output: at('output'),
  };
}

/** The sum over heads: [b, ..., heads, size] times [heads, size, ...out]. */
export function output(
  { b, name }: LayerContext,
  joined: string,
  rank: number,
  { kernel, bias }: Projection,
): { value: string; sizes: number[] } {
  const [heads, size, ...out] = kernel.dims as [number, number, ...number[]];
  const width = out.reduce((a, d) => a * d, 1);
  const flat = b.op(
    'Reshape',
    [joined, b.ints([...range(0, rank - 1).map(() => 0), heads * size])],
    {},
    `${name}/joined`,
  );
  let result = b.op(
    'MatMul',
    [flat, b.weight(`${name}/output/kernel`, [heads * size, width], kernel.values)],
    {},
    `${name}/output`,
  );
  if (bias)
    result = b.op('Add', [result, b.weight(`${name}/output/bias`, [width], bias.values)], {}, `${name}/output_biased`);
  return {
    value:
      out.length === 1
        ? result
        : b.op('Reshape', [result, b.ints([...range(0, rank - 1).map(() => 0), ...out])], {}, `${name}/output_shaped`),
    sizes: out,
  };
}

export function scaled({ b, name }: LayerContext, q: string, size: number): string {
  return b.op('Mul', [q, b.scalar(1 / Math.sqrt(size))], {}, `${name}/scaled_query`);
}

interface Gating {
  readonly joined: string;
  readonly query: string;
  readonly rank: number;
  readonly gate: Projection;
}

/** The heads' results times sigmoid(x G + g), element by element; [b, ..., heads, size]. */
export function gated(ctx: LayerContext, { joined, query, rank, gate }: Gating): string {
  if (!flag(ctx.config, 'use_gate', false)) return joined;
  const open = ctx.b.op(
    'Sigmoid',
    [project(ctx, { x: query, rank, projection: gate, label: 'gate' })],
    {},
    `${ctx.name}/gate_open`,
  );
  return ctx.b.op('Mul', [joined, open], {}, `${ctx.name}/gated`);
}

/** The axes that are attended over: all between batch and features, unless the layer names them. */
export function attentionAxes(given: unknown, rank: number): Axes {
  const attended =
    given == null
      ? range(1, rank - 1)
      : [given].flat().map((axis) => (Number(axis) < 0 ? Number(axis) + rank : Number(axis)));
  return { attended, free: range(1, rank - 1).filter((axis) => !attended.includes(axis)), rank };
}

interface Repetition {
  readonly x: string;
  readonly from: number;
  readonly to: number;
  readonly label: string;
}

/** [b, kv heads, s, size] -> [b, heads, s, size]: each head several times, one after the other. */
export function repeatHeads({ b, name }: LayerContext, { x, from, to, label }: Repetition): string {
  if (from === to) return x;
  const tiled = b.op(
    'Tile',
    [b.op('Unsqueeze', [x, b.ints([2])], {}, `${name}/${label}_single`), b.ints([1, 1, to / from, 1, 1])],
    {},
    `${name}/${label}_tiled`,
  );
  const shape = b.op(
    'Concat',
    [b.ints([0, to]), b.op('Shape', [x], { start: 2, end: 4 }, `${name}/${label}_steps`)],
    { axis: 0 },
    `${name}/${label}_shape`,
  );
  return b.op('Reshape', [tiled, shape], {}, `${name}/${label}_repeated`);
}
