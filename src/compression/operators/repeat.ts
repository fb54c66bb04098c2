/**
 * Operators that repeat or rearrange blocks: Expand, Tile, DepthToSpace, SpaceToDepth, and masks over matrices (Trilu).
 */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { alongAxes } from './channels/elementwise.ts';
import { repetition } from './channels/join-split.ts';
import { depthToSpace as fromDepth, expansion, spaceToDepth as toDepth } from './channels/reshape.ts';
import type { ChannelRule } from './channels/rule.ts';
import { FOLLOWS, firstInput, FULL, ONNX_ORDER, PASSES, type HostForm, intsOfConstants, needs } from './define.ts';
import { choose, spread, tile } from './device/elementwise.ts';
import { broadcastDims } from './host/offsets.ts';
import { broadcastTo, countTo, pick, pickAlong, reshape, transpose } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { moved } from './reshape.ts';
import { broadcastShapes, openShape, requireRank, shapeOf, typeOf } from './shapes.ts';

function inferExpand(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const target = info.partial(1);
  const rank = shapeOf(info, 1)?.[0];
  if (target) return [{ dtype, shape: broadcastShapes(shape, target) }];
  return [{ dtype, shape: shape && typeof rank === 'number' ? openShape(Math.max(rank, shape.length)) : null }];
}

function inferTile(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const times = info.partial(1);
  return [{ dtype, shape: shape && shape.map((dim, axis) => (times ? product(dim, times[axis] ?? null) : null)) }];
}

function product(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  return a === 1 ? b : b === 1 ? a : null;
}

function checkTimes(times: readonly number[], rank: number): readonly number[] {
  if (times.length !== rank || times.some((n) => n < 0))
    throw new GraphError(`repeats [${times.join(', ')}] do not fit a tensor of rank ${rank}`);
  return times;
}

const tileOnHost: HostForm = needs(2, ([x, repeats]) => {
  const times = checkTimes(hostNumbers(repeats), x.dims.length);
  return [
    pickAlong(
      x,
      x.dims.map((size, axis) => countTo(size * nth(times, axis)).map((i) => i % size)),
    ),
  ];
});

function runTile(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const times = [...checkTimes(ctx.hostInts(1), x.rank)];
  ctx.hostInts(1).forEach((n, axis) => {
    times[ctx.axis(axis, x.rank)] = n;
  });
  if (times.includes(0))
    return [
      tf.zeros(
        x.shape.map((size, axis) => size * nth(times, axis)),
        x.dtype,
      ),
    ];
  return [moved(x, (v) => tile(v, times))];
}

/** Repeats by tiling: its gradient sums the copies. */
function runExpand(ctx: RunContext): TfTensor[] {
  const dims = broadcastDims(ctx.dims(0), ctx.hostInts(1));
  if (dims.includes(0)) return [tf.zeros(dims, ctx.tensor(0).dtype)];
  return [
    moved(ctx.tensor(0), (x) =>
      dims.length === x.rank && dims.every((size, axis) => size === x.shape[axis]) ? tf.clone(x) : spread(x, dims),
    ),
  ];
}

/** Both rearrangements split axes, permute them and join them again. */
interface Blocks {
  readonly apart: readonly number[];
  readonly perm: readonly number[];
  readonly together: readonly number[];
}

/** For x [n, c, h, w], or [n, h, w, c] with channels last; block size b. */
type Rearrangement = (dims: readonly number[], b: number, info: NodeInfo, last: boolean) => Blocks;

/** Channels in blocks (b, b, depth) or, `CRD`, (depth, b, b). */
const depthToSpace: Rearrangement = (dims, b, info, last) => {
  const [n, c, h, w] = sizesOf(dims, last);
  const depth = c / (b * b);
  if (!Number.isInteger(depth)) throw new GraphError(`${c} channels do not make blocks of ${b} x ${b}`);
  const depthFirst = isDepthFirst(info);
  const apart = depthFirst ? [depth, b, b] : [b, b, depth];
  if (last)
    return {
      apart: [n, h, w, ...apart],
      perm: depthFirst ? [0, 1, 4, 2, 5, 3] : [0, 1, 3, 2, 4, 5],
      together: [n, h * b, w * b, depth],
    };
  return {
    apart: [n, ...apart, h, w],
    perm: depthFirst ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2],
    together: [n, depth, h * b, w * b],
  };
};

/**
 * `mode`, which SpaceToDepth has since opset 28: depth as the last of the parts that channels are made of (DCR), or as
 * the first.
 */
function isDepthFirst(info: NodeInfo): boolean {
  const mode = info.string('mode', 'DCR');
  if (mode !== 'DCR' && mode !== 'CRD') throw new GraphError(`mode "${mode}" is neither DCR nor CRD`);
  return mode === 'CRD';
}

const spaceToDepth: Rearrangement = (dims, b, info, last) => {
  const [n, c, h, w] = sizesOf(dims, last);
  if (h % b !== 0 || w % b !== 0) throw new GraphError(`${h} x ${w} elements do not make blocks of ${b} x ${b}`);
  const depthFirst = isDepthFirst(info);
  if (last)
    return {
      apart: [n, h / b, b, w / b, b, c],
      perm: depthFirst ? [0, 1, 3, 5, 2, 4] : [0, 1, 3, 2, 4, 5],
      together: [n, h / b, w / b, b * b * c],
    };
  return {
    apart: [n, c, h / b, b, w / b, b],
    perm: depthFirst ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4],
    together: [n, c * b * b, h / b, w / b],
  };
};

function sizesOf(dims: readonly number[], last: boolean): [number, number, number, number] {
  const [n, a, b, c] = dims as [number, number, number, number];
  return last ? [n, c, a, b] : [n, a, b, c];
}

function blockSize(info: NodeInfo): number {
  const size = info.int('blocksize', 0);
  if (size < 1) throw new GraphError('attribute "blocksize" must be 1 or more');
  requireRank(shapeOf(info), 4, 'the input', 4);
  return size;
}

function rearrangement(
  type: string,
  { blocks, channels }: { readonly blocks: Rearrangement; readonly channels: ChannelRule },
  shapeAfter: (shape: readonly Dim[], b: number) => readonly Dim[],
): Operator {
  return {
    type,
    domain: '',
    since: 1,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: FULL,
    quantization: PASSES,
    channels,
    infer: (info) => {
      const b = blockSize(info);
      const { dtype, shape } = typeOf(info);
      return [{ dtype, shape: shape && shapeAfter(shape, b) }];
    },
    host: needs(1, ([x], info) => {
      const { apart, perm, together } = blocks(x.dims, blockSize(info), info, false);
      return [reshape(transpose(reshape(x, apart), perm), together)];
    }),
    device: (ctx) => {
      const { apart, perm, together } = blocks(
        ctx.tensor(0).shape,
        blockSize(ctx),
        ctx,
        ctx.layout === 'channels-last',
      );
      return [
        moved(ctx.tensor(0), (x) => tf.reshape(tf.transpose(tf.reshape(x, [...apart]), [...perm]), [...together])),
      ];
    },
  };
}

const times = (dim: Dim, by: number): Dim => product(dim, by);
const over = (dim: Dim, by: number): Dim => (typeof dim === 'number' ? Math.floor(dim / by) : by === 1 ? dim : null);

interface TriangleEntry {
  readonly index: number;
  readonly rows: number;
  readonly columns: number;
  readonly k: number;
  readonly upper: boolean;
}

/** 1 where Trilu keeps the element at a row-major position of [..., rows, columns]. */
function keeps({ index, rows, columns, k, upper }: TriangleEntry): boolean {
  const [row, column] = [Math.floor(index / columns) % rows, index % columns];
  return upper ? column - row >= k : column - row <= k;
}

function diagonal(info: NodeInfo, k: HostTensor | null): { readonly k: number; readonly upper: boolean } {
  return { k: k ? nth(hostNumbers(k), 0) : 0, upper: info.int('upper', 1) === 1 };
}

const triluOnHost: HostForm = needs(1, ([x, offset], info) => {
  const { k, upper } = diagonal(info, offset ?? null);
  const [rows, columns] = x.dims.slice(-2) as [number, number];
  return [
    pick(
      x,
      Int32Array.from({ length: x.data.length }, (_, i) => (keeps({ index: i, rows, columns, k, upper }) ? i : -1)),
      x.dims,
    ),
  ];
});

/** Masked elements may be infinite: they are replaced, not multiplied by zero. */
function runTrilu(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const { k, upper } = diagonal(ctx, ctx.has(1) ? ctx.host(1) : null);
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  if (x.size === 0) return [tf.clone(x)];
  const mask = tf.tensor2d(
    Uint8Array.from({ length: rows * columns }, (_, i) => (keeps({ index: i, rows, columns, k, upper }) ? 1 : 0)),
    [rows, columns],
    'bool',
  );
  return [moved(x, (v) => choose(mask, v, tf.zeros(v.shape, v.dtype)))];
}

export const repeatOperators: readonly Operator[] = [
  {
    type: 'Expand',
    domain: '',
    since: 8,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: inferExpand,
    device: runExpand,
    channels: expansion,
    host: needs(2, ([x, shape]) => [broadcastTo(x, broadcastDims(x.dims, hostNumbers(shape)))]),
  },
  {
    type: 'Tile',
    domain: '',
    since: 6,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: firstInput(0),
    infer: inferTile,
    host: tileOnHost,
    device: runTile,
    channels: repetition((info) => intsOfConstants(info)(1)),
  },
  rearrangement(
    'DepthToSpace',
    { blocks: depthToSpace, channels: fromDepth },
    ([n = null, c = null, h = null, w = null], b) => [n, over(c, b * b), times(h, b), times(w, b)],
  ),
  rearrangement(
    'SpaceToDepth',
    { blocks: spaceToDepth, channels: toDepth },
    ([n = null, c = null, h = null, w = null], b) => [n, times(c, b * b), over(h, b), over(w, b)],
  ),
  {
    type: 'Trilu',
    domain: '',
    since: 14,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: (info) => [typeOf(info)],
    channels: alongAxes(() => [-1, -2]),
    host: triluOnHost,
    device: runTrilu,
  },
];
