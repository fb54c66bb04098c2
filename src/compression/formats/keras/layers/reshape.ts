/** Layers that move elements: reshape, permute, pad, crop, repeat. */
import { dataFormat, flag, flatSize, input, ints, text, type LayerContext, type LayerConverter } from '../layer.ts';
import { image, imageShape, imageSignal, knownSize, plain, plainSignal, product, type Signal } from '../signal.ts';

const flatten: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return plainSignal(ctx.b.op('Flatten', [plain(ctx.b, signal)], { axis: 1 }, `${ctx.name}/flatten`), [signal.shape[0] ?? null, flatSize(signal)]);
};

const reshape: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const target = ints(ctx.config, 'target_shape', 1, -1);
  const total = flatSize(signal);
  const known = product(target.filter((size) => size !== -1)) ?? 1;
  const shape = target.map((size) => (size !== -1 ? size : total === null ? null : total / known));
  return plainSignal(ctx.b.op('Reshape', [plain(ctx.b, signal), ctx.b.ints([0, ...target])], {}, `${ctx.name}/reshape`), [signal.shape[0] ?? null, ...shape]);
};

const permute: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const perm = [0, ...ints(ctx.config, 'dims', 1, 1)];
  return plainSignal(ctx.b.op('Transpose', [plain(ctx.b, signal)], { perm }, `${ctx.name}/permute`), perm.map((axis) => signal.shape[axis] ?? null));
};

const repeatVector: LayerConverter = (ctx) => {
  const { b, name } = ctx;
  const signal = input(ctx);
  const n = ints(ctx.config, 'n', 1, 1)[0]!;
  const row = b.op('Unsqueeze', [signal.value, b.ints([1])], {}, `${name}/row`);
  return plainSignal(b.op('Tile', [row, b.ints([1, n, 1])], {}, `${name}/repeat`), [signal.shape[0] ?? null, n, signal.shape[1] ?? null]);
};

/** [[before, after], ...] per spatial axis, from an int, a list of ints, or a list of pairs. */
function pairs(ctx: LayerContext, key: string, rank: number): [number, number][] {
  const value = ctx.config[key];
  if (rank === 1 && Array.isArray(value) && value.length === 2 && typeof value[0] === 'number') return [[value[0], Number(value[1])]];
  const list = Array.isArray(value) ? value : Array.from({ length: rank }, () => value ?? 1);
  return list.map((item) => (Array.isArray(item) ? [Number(item[0]), Number(item[1])] : [Number(item), Number(item)]));
}

/** Runs `build` on the value as it lies; `axes` are the ONNX axes of the spatial dimensions. */
function onSpatial(ctx: LayerContext, rank: number, resize: (size: number, axis: number) => number, build: (x: string, axes: number[], spatial: readonly (number | null)[]) => string): Signal {
  const signal = input(ctx);
  const format = dataFormat(ctx.config);
  const { spatial, channels } = imageShape(signal, format);
  const channelsSecond = signal.channelsFirst || format === 'channels_first';
  const value = build(signal.value, Array.from({ length: rank }, (_, i) => i + (channelsSecond ? 2 : 1)), spatial);
  const sizes = spatial.map((size, i) => (size === null ? null : resize(size, i)));
  if (format === 'channels_last' && !signal.channelsFirst) return plainSignal(value, [signal.shape[0] ?? null, ...sizes, channels]);
  return imageSignal(value, signal.shape[0] ?? null, sizes, channels, format);
}

const zeroPadding = (rank: number): LayerConverter => (ctx) => {
  const pads = pairs(ctx, 'padding', rank);
  return onSpatial(ctx, rank, (size, i) => size + pads[i]![0] + pads[i]![1], (x, axes) =>
    ctx.b.op('Pad', [x, ctx.b.ints([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]), ctx.b.scalar(0), ctx.b.ints(axes)], {}, `${ctx.name}/pad`));
};

const cropping = (rank: number): LayerConverter => (ctx) => {
  const crops = pairs(ctx, 'cropping', rank);
  return onSpatial(ctx, rank, (size, i) => size - crops[i]![0] - crops[i]![1], (x, axes) => {
    const ends = crops.map(([, after]) => (after === 0 ? Number.MAX_SAFE_INTEGER : -after));
    return ctx.b.op('Slice', [x, ctx.b.ints(crops.map(([before]) => before)), ctx.b.ints(ends), ctx.b.ints(axes)], {}, `${ctx.name}/crop`);
  });
};

const upSampling = (rank: number): LayerConverter => (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const factors = ints(config, 'size', rank, 2);
  const interpolation = text(config, 'interpolation', 'nearest');
  const { spatial, channels } = imageShape(signal, format);
  const modes: Record<string, Parameters<typeof b.op>[2]> = {
    nearest: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    bilinear: { mode: 'linear', coordinate_transformation_mode: ctx.runtime === 'tfjs' ? 'asymmetric' : 'half_pixel' },
    bicubic: { mode: 'cubic', coordinate_transformation_mode: 'half_pixel', cubic_coeff_a: { float: -0.5 } },
  };
  const mode = modes[interpolation];
  if (!mode) throw new Error(`the interpolation "${interpolation}" has no ONNX form`);
  const scales = b.setting(`${name}/scales`, [rank + 2], [1, 1, ...factors]);
  const value = b.op('Resize', [image(b, signal, format), '', scales], mode, `${name}/resize`);
  return imageSignal(value, signal.shape[0] ?? null, spatial.map((size, i) => (size === null ? null : size * factors[i]!)), channels, format);
};

const resizing: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const [height, width] = [ints(config, 'height', 1, 1)[0]!, ints(config, 'width', 1, 1)[0]!];
  const interpolation = text(config, 'interpolation', 'bilinear');
  if (interpolation !== 'bilinear' && interpolation !== 'nearest') throw new Error(`the interpolation "${interpolation}" has no ONNX form`);
  const channels = knownSize(signal, format === 'channels_first' ? 1 : -1, 'the channel axis');
  const coordinates = ctx.runtime === 'keras' ? 'half_pixel' : flag(config, 'crop_to_aspect_ratio', false) ? 'asymmetric' : 'align_corners';
  const attributes: Record<string, string> = interpolation === 'bilinear'
    ? { mode: 'linear', coordinate_transformation_mode: coordinates }
    : { mode: 'nearest', coordinate_transformation_mode: coordinates, nearest_mode: coordinates === 'asymmetric' ? 'floor' : 'round_prefer_ceil' };
  const batch = b.op('Shape', [signal.value], { start: 0, end: 1 }, `${name}/batch`);
  const sizes = b.op('Concat', [batch, b.ints([channels, height, width])], { axis: 0 }, `${name}/sizes`);
  const value = b.op('Resize', [image(b, signal, format), '', '', sizes], attributes, `${name}/resize`);
  return imageSignal(value, signal.shape[0] ?? null, [height, width], channels, format);
};

export const RESHAPE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Flatten: flatten, Reshape: reshape, Permute: permute, RepeatVector: repeatVector, Resizing: resizing,
  ZeroPadding1D: zeroPadding(1), ZeroPadding2D: zeroPadding(2), ZeroPadding3D: zeroPadding(3),
  Cropping1D: cropping(1), Cropping2D: cropping(2), Cropping3D: cropping(3),
  UpSampling1D: upSampling(1), UpSampling2D: upSampling(2), UpSampling3D: upSampling(3),
};
