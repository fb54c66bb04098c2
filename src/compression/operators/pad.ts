/** Pad in every mode and form, and CenterCropPad. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { padding } from './channels/join-split.ts';
import {
  FOLLOWS,
  firstInput,
  given,
  intsOfConstants,
  intsOfHost,
  intsOfRun,
  onHost,
  ONNX_ORDER,
  type Ints,
  required,
} from './define.ts';
import { positionsAlong } from './device/slice.ts';
import { scalar } from './host/data.ts';
import { countTo, pickAlong } from './host/movement.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { moved } from './reshape.ts';
import { resolveAxes, typeOf } from './shapes.ts';

/** Elements added (or, negative, taken away) before and after each axis. */
interface Pads {
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

type Mode = 'constant' | 'reflect' | 'edge' | 'wrap';

function modeOf(info: NodeInfo): Mode {
  const mode = info.string('mode', 'constant');
  if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge' && mode !== 'wrap')
    throw new GraphError(`unknown mode "${mode}"`);
  return mode;
}

/** Null where the pads are an input of unknown value. */
function padsOf(info: NodeInfo, ints: Ints, rank: number): Pads | null {
  const pads = info.opset < 11 ? (info.ints('pads') ?? info.ints('paddings') ?? null) : ints(1);
  const axes = info.opset >= 18 && given(info, 3) ? ints(3) : countTo(rank);
  if (!pads || !axes) return null;
  if (pads.length !== 2 * axes.length)
    throw new GraphError(`${pads.length} pads are given for ${axes.length} axes; give two for each axis`);
  const [begins, ends] = [new Array<number>(rank).fill(0), new Array<number>(rank).fill(0)];
  resolveAxes(axes, rank).forEach((axis, i) => {
    [begins[axis], ends[axis]] = [nth(pads, i), nth(pads, i + axes.length)];
  });
  return { begins, ends };
}

function requirePads(info: NodeInfo, ints: Ints, rank: number): Pads {
  const pads = padsOf(info, ints, rank);
  if (!pads) throw new GraphError('the pads are not known');
  return pads;
}

/**
 * Where each element of a padded axis comes from; -1: the fill. Pads beyond the size go back and forth (reflect) or
 * round and round (wrap).
 */
function positions(size: number, begin: number, end: number, mode: Mode): number[] {
  const from = Math.max(-begin, 0);
  const kept = Math.max(size - from - Math.max(-end, 0), 0); // negative pads crop first: what is left is then reflected
  if (kept === 0 && mode !== 'constant' && (begin > 0 || end > 0))
    throw new GraphError(`an empty axis cannot be padded by ${mode}`);
  const length = Math.max(size + begin + end, 0);
  const period = mode === 'reflect' ? Math.max(2 * (kept - 1), 1) : kept;
  return countTo(length).map((i) => {
    const at = i - Math.max(begin, 0);
    if (mode === 'constant') return at < 0 || at >= kept ? -1 : at + from;
    if (mode === 'edge') return Math.min(Math.max(at, 0), kept - 1) + from;
    const phase = ((at % period) + period) % period;
    return (mode === 'wrap' || phase < kept ? phase : period - phase) + from;
  });
}

/** The fill: an attribute up to opset 10, an input since. */
function fillOf(inputs: readonly (HostTensor | null)[], info: NodeInfo): HostTensor | null {
  return info.opset < 11 ? scalar(required(inputs, 0).dtype, info.float('value', 0)) : (inputs[2] ?? null);
}

function padOnHost(inputs: readonly (HostTensor | null)[], info: NodeInfo): HostTensor[] {
  const x = required(inputs, 0);
  const { begins, ends } = requirePads(info, intsOfHost(inputs), x.dims.length);
  const mode = modeOf(info);
  return [
    pickAlong(
      x,
      x.dims.map((size, axis) => positions(size, nth(begins, axis), nth(ends, axis), mode)),
      fillOf(inputs, info),
    ),
  ];
}

function infer(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const pads = shape && padsOf(info, intsOfConstants(info), shape.length);
  return [
    {
      dtype,
      shape:
        shape && shape.map((dim, axis) => (pads ? padded(dim, nth(pads.begins, axis) + nth(pads.ends, axis)) : null)),
    },
  ];
}

function padded(dim: Dim, by: number): Dim {
  return by === 0 ? dim : typeof dim === 'number' ? Math.max(dim + by, 0) : null;
}

function run(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const { begins, ends } = requirePads(ctx, intsOfRun(ctx), x.rank);
  const mode = modeOf(ctx);
  const placed = x.shape.map(() => [0, 0] as [number, number]);
  begins.forEach((begin, axis) => {
    placed[ctx.axis(axis, x.rank)] = [begin, nth(ends, axis)];
  });
  if (mode === 'constant') return [moved(x, (v) => padConstant(v, placed, fillOfRun(ctx)))];
  return [
    moved(x, (v) =>
      placed.reduce(
        (y, [begin, end], axis) =>
          begin === 0 && end === 0 ? y : positionsAlong(y, axis, positions(nth(y.shape, axis), begin, end, mode)),
        v,
      ),
    ),
  ];
}

function fillOfRun(ctx: RunContext): number {
  if (ctx.opset < 11) return ctx.float('value', 0);
  return ctx.has(2) ? nth(hostNumbers(ctx.host(2)), 0) : 0;
}

/** Crops, then pads with a constant. */
export function padConstant(x: TfTensor, pads: readonly (readonly [number, number])[], fill: number): TfTensor {
  const size = x.shape.map((length, axis) =>
    Math.max(length + Math.min(nth(pads, axis)[0], 0) + Math.min(nth(pads, axis)[1], 0), 0),
  );
  const cropped = pads.some(([begin, end]) => begin < 0 || end < 0)
    ? tf.slice(
        x,
        pads.map(([begin]) => Math.max(-begin, 0)),
        size,
      )
    : x;
  const wide = pads.map(([begin, end]) => [Math.max(begin, 0), Math.max(end, 0)] as [number, number]);
  if (wide.every(([begin, end]) => begin === 0 && end === 0)) return tf.clone(cropped);
  return x.rank <= 5
    ? tf.pad(cropped, wide, fill)
    : wide.reduce((y, pads, axis) => padAxis(y, axis, pads, fill), cropped);
}

/** One axis of many: the kernels of both engines take at most six. */
function padAxis(x: TfTensor, axis: number, [begin, end]: readonly [number, number], fill: number): TfTensor {
  if (begin === 0 && end === 0) return x;
  const before = x.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const after = x.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const wide = tf.pad(
    tf.reshape(x, [before, nth(x.shape, axis), after]),
    [
      [0, 0],
      [begin, end],
      [0, 0],
    ],
    fill,
  );
  return tf.reshape(
    wide,
    x.shape.map((size, i) => (i === axis ? size + begin + end : size)),
  );
}

/** CenterCropPad: the pads that bring the axes to these sizes; an odd element is taken from, or put at, the end. */
function centerPads(dims: readonly number[], info: NodeInfo, ints: Ints): Pads {
  const target = ints(1);
  const axes = resolveAxes(info.ints('axes') ?? countTo(dims.length), dims.length);
  if (!target || target.length !== axes.length)
    throw new GraphError(
      `${target?.length ?? 'unknown'} sizes are given for ${axes.length} axes; give one for each axis`,
    );
  const begins = dims.map((size, axis) => {
    const by = axes.includes(axis) ? nth(target, axes.indexOf(axis)) - size : 0;
    return by < 0 ? -Math.floor(-by / 2) : Math.floor(by / 2);
  });
  return {
    begins,
    ends: dims.map((size, axis) =>
      axes.includes(axis) ? nth(target, axes.indexOf(axis)) - size - nth(begins, axis) : 0,
    ),
  };
}

function inferCenter(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (!shape) return [{ dtype, shape: null }];
  const axes = resolveAxes(info.ints('axes') ?? countTo(shape.length), shape.length);
  const target = info.partial(1);
  return [
    { dtype, shape: shape.map((dim, axis) => (axes.includes(axis) ? (target?.[axes.indexOf(axis)] ?? null) : dim)) },
  ];
}

const centerOnHost = (inputs: readonly (HostTensor | null)[], info: NodeInfo): HostTensor[] => {
  const x = required(inputs, 0);
  const { begins, ends } = centerPads(x.dims, info, intsOfHost(inputs));
  return [
    pickAlong(
      x,
      x.dims.map((size, axis) => positions(size, nth(begins, axis), nth(ends, axis), 'constant')),
    ),
  ];
};

const exactPad = onHost(padOnHost);

export const padOperators: readonly Operator[] = [
  {
    type: 'Pad',
    domain: '',
    since: 1,
    layout: { ...FOLLOWS, inputs: [0] },
    differentiability: firstInput(0),
    infer,
    host: padOnHost,
    channels: padding((info, rank) => {
      const pads = padsOf(info, intsOfConstants(info), rank);
      return pads && { ...pads, constant: modeOf(info) === 'constant' };
    }),
    device: (ctx) => (ctx.tensor(0).dtype === 'bool' ? exactPad(ctx) : run(ctx)),
  },
  {
    type: 'CenterCropPad',
    domain: '',
    since: 18,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: inferCenter,
    host: centerOnHost,
    device: (ctx) => {
      const { begins, ends } = centerPads(ctx.dims(0), ctx, intsOfRun(ctx));
      return [
        moved(ctx.tensor(0), (x) =>
          padConstant(
            x,
            begins.map((begin, axis) => [begin, nth(ends, axis)] as const),
            0,
          ),
        ),
      ];
    },
  },
];
