/** Layers that move elements: reshape, permute, pad, crop, repeat. */
import { itemOf } from '../../../ir/checked-access.ts';
import { dataFormat, flatSize, input, ints, type LayerContext, type LayerConverter } from '../layer.ts';
import {
  imageShape,
  imageSignal,
  plain,
  plainSignal,
  product,
  toChannelsLast,
  typeOf,
  type Signal,
} from '../signal.ts';

const flatten: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const x =
    dataFormat(ctx.config) === 'channels_first' && signal.shape.length > 2
      ? flattenable(ctx, signal)
      : plain(ctx.b, signal);
  return plainSignal(
    ctx.b.op('Flatten', [x], { axis: 1 }, `${ctx.name}/flatten`),
    [signal.shape[0] ?? null, flatSize(signal)],
    typeOf(signal),
  );
};

/** Keras flattens images of channels_first as if they lay channels last. */
function flattenable({ b, name }: LayerContext, signal: Signal): string {
  return b.op('Transpose', [plain(b, signal)], { perm: toChannelsLast(signal.shape.length) }, `${name}/channels_last`);
}

const reshape: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const target = ints(ctx.config, 'target_shape', 1, -1);
  const total = flatSize(signal);
  const known = product(target.filter((size) => size !== -1)) ?? 1;
  const shape = target.map((size) => (size !== -1 ? size : total === null ? null : total / known));
  return plainSignal(
    ctx.b.op('Reshape', [plain(ctx.b, signal), ctx.b.ints([0, ...target])], {}, `${ctx.name}/reshape`),
    [signal.shape[0] ?? null, ...shape],
    typeOf(signal),
  );
};

const permute: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const perm = [0, ...ints(ctx.config, 'dims', 1, 1)];
  return plainSignal(
    ctx.b.op('Transpose', [plain(ctx.b, signal)], { perm }, `${ctx.name}/permute`),
    perm.map((axis) => signal.shape[axis] ?? null),
    typeOf(signal),
  );
};

const repeatVector: LayerConverter = (ctx) => {
  const { b, name } = ctx;
  const signal = input(ctx);
  const n = itemOf(ints(ctx.config, 'n', 1, 1), 0, 'n');
  const row = b.op('Unsqueeze', [signal.value, b.ints([1])], {}, `${name}/row`);
  return plainSignal(
    b.op('Tile', [row, b.ints([1, n, 1])], {}, `${name}/repeat`),
    [signal.shape[0] ?? null, n, signal.shape[1] ?? null],
    typeOf(signal),
  );
};

/** [[before, after], ...] per spatial axis, from an int, a list of ints, or a list of pairs. */
function pairs(ctx: LayerContext, key: string, rank: number): [number, number][] {
  const value = ctx.config[key];
  if (rank === 1 && Array.isArray(value) && value.length === 2 && typeof value[0] === 'number')
    return [[value[0], Number(value[1])]];
  const list = Array.isArray(value) ? value : Array.from({ length: rank }, () => value ?? 1);
  return list.map((item) => (Array.isArray(item) ? [Number(item[0]), Number(item[1])] : [Number(item), Number(item)]));
}

/** Runs `build` on the value as it lies; `axes` are the ONNX axes of the spatial dimensions. */
function onSpatial(
  ctx: LayerContext,
  rank: number,
  resize: (size: number, axis: number) => number,
  build: (x: string, axes: number[], spatial: readonly (number | null)[]) => string,
): Signal {
  const signal = input(ctx);
  const format = dataFormat(ctx.config);
  const { spatial, channels } = imageShape(signal, format);
  const channelsSecond = signal.channelsFirst || format === 'channels_first';
  const value = build(
    signal.value,
    Array.from({ length: rank }, (_, i) => i + (channelsSecond ? 2 : 1)),
    spatial,
  );
  const sizes = spatial.map((size, i) => (size === null ? null : resize(size, i)));
  if (format === 'channels_last' && !signal.channelsFirst)
    return plainSignal(value, [signal.shape[0] ?? null, ...sizes, channels]);
  return imageSignal(value, signal.shape[0] ?? null, sizes, channels, format);
}

const sumOf = ([before, after]: readonly [number, number]): number => before + after;

const zeroPadding =
  (rank: number): LayerConverter =>
  (ctx) => {
    const pads = pairs(ctx, 'padding', rank);
    return onSpatial(
      ctx,
      rank,
      (size, i) => size + sumOf(itemOf(pads, i, 'padding')),
      (x, axes) => {
        // All axes are given: onnxruntime mistakes a Pad of some axes when it moves a transpose past it.
        const side = (index: 0 | 1): number[] =>
          Array.from({ length: rank + 2 }, (_, axis) => pads[axes.indexOf(axis)]?.[index] ?? 0);
        return ctx.b.op('Pad', [x, ctx.b.ints([...side(0), ...side(1)]), ctx.b.scalar(0)], {}, `${ctx.name}/pad`);
      },
    );
  };

const cropping =
  (rank: number): LayerConverter =>
  (ctx) => {
    const crops = pairs(ctx, 'cropping', rank);
    return onSpatial(
      ctx,
      rank,
      (size, i) => size - sumOf(itemOf(crops, i, 'cropping')),
      (x, axes) => {
        const ends = crops.map(([, after]) => (after === 0 ? Number.MAX_SAFE_INTEGER : -after));
        return ctx.b.op(
          'Slice',
          [x, ctx.b.ints(crops.map(([before]) => before)), ctx.b.ints(ends), ctx.b.ints(axes)],
          {},
          `${ctx.name}/crop`,
        );
      },
    );
  };

export const RESHAPE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Flatten: flatten,
  Reshape: reshape,
  Permute: permute,
  RepeatVector: repeatVector,
  ZeroPadding1D: zeroPadding(1),
  ZeroPadding2D: zeroPadding(2),
  ZeroPadding3D: zeroPadding(3),
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  Cropping3D: cropping(3),
};
