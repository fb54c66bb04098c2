/** Pooling of 1 to 3 dimensions, windowed and global. */
import {
  dataFormat,
  flag,
  input,
  ints,
  text,
  UnsupportedLayer,
  type LayerContext,
  type LayerConverter,
} from '../layer.ts';
import { image, imageShape, imageSignal, plain, plainSignal, range, type Signal } from '../signal.ts';
import { padAttributes, windowResult } from './window.ts';

const pool =
  (rank: number, opType: 'MaxPool' | 'AveragePool'): LayerConverter =>
  (ctx) => {
    const { config, b, name } = ctx;
    const signal = input(ctx);
    const format = dataFormat(config);
    const { spatial, channels } = imageShape(signal, format);
    const kernel = ints(config, 'pool_size', rank, 2);
    const strides = config['strides'] == null ? kernel : ints(config, 'strides', rank, 1);
    const window = {
      kernel,
      strides,
      dilations: kernel.map(() => 1),
      padding: text(config, 'padding', 'valid').toLowerCase(),
    };
    const attributes = { kernel_shape: kernel, strides, ...padAttributes(spatial, window) };
    const value = b.op(opType, [image(b, signal, format)], attributes, `${name}/pool`);
    return imageSignal(value, signal.shape[0] ?? null, windowResult(spatial, window), channels, format);
  };

const globalPool =
  (opType: 'ReduceMax' | 'ReduceMean'): LayerConverter =>
  (ctx: LayerContext): Signal => {
    const { config, b, name } = ctx;
    const mask = opType === 'ReduceMean' && ctx.className.endsWith('1D') ? ctx.masks[0] : null;
    if (mask) return maskedMean(ctx, input(ctx), mask);
    const signal = input(ctx);
    const format = dataFormat(config);
    const rank = signal.shape.length;
    const { channels } = imageShape(signal, format);
    const keep = flag(config, 'keepdims', false);
    const channelsSecond = signal.channelsFirst || format === 'channels_first';
    const axes = channelsSecond ? range(2, rank) : range(1, rank - 1);
    const value =
      opType === 'ReduceMean' && channelsSecond && rank > 3 && keep
        ? b.op('GlobalAveragePool', [signal.value], {}, `${name}/pool`)
        : b.op(opType, [signal.value, b.ints(axes)], { keepdims: keep ? 1 : 0 }, `${name}/pool`);
    const batch = signal.shape[0] ?? null;
    return keep
      ? imageSignalOf(value, signal, axes.length, batch, channels, format)
      : plainSignal(value, [batch, channels]);
  };

/** The mean of the steps that count. */
function maskedMean({ b, name, config }: LayerContext, signal: Signal, mask: string): Signal {
  const first = dataFormat(config) === 'channels_first';
  const keep = flag(config, 'keepdims', false);
  const steps = b.ints([first ? 2 : 1]);
  const weights = b.op(
    'Cast',
    [b.op('Unsqueeze', [mask, b.ints([first ? 1 : 2])], {}, `${name}/mask`)],
    { to: 1 },
    `${name}/weights`,
  );
  const sum = (x: string, what: string): string =>
    b.op('ReduceSum', [x, steps], { keepdims: keep ? 1 : 0 }, `${name}/${what}`);
  const total = sum(b.op('Mul', [plain(b, signal), weights], {}, `${name}/counted`), 'total');
  const [batch = null, ...rest] = signal.shape;
  const channels = (first ? rest[0] : rest[1]) ?? null;
  return plainSignal(
    b.op('Div', [total, sum(weights, 'count')], {}, `${name}/mean`),
    keep ? (first ? [batch, channels, 1] : [batch, 1, channels]) : [batch, channels],
  );
}

/**
 * Windows from floor(i n / m) to ceil((i + 1) n / m), i < m: equal ones where m divides n (one pool), else each axis
 * cut apart. A mean of means over one axis after the other is the mean, since all windows of one axis are as long in
 * every other.
 */
const adaptivePool =
  (rank: number, opType: 'ReduceMax' | 'ReduceMean'): LayerConverter =>
  (ctx) => {
    const { b, name, config } = ctx;
    const signal = input(ctx);
    const format = dataFormat(config);
    const { spatial, channels } = imageShape(signal, format);
    const targets = ints(config, 'output_size', rank, 1);
    const value = targets.reduce(
      (x, target, i) => {
        const size = spatial[i];
        if (typeof size !== 'number')
          throw new UnsupportedLayer('adaptive pooling of an axis of dynamic size is not supported');
        const parts = range(0, target).map((at) => {
          const [start, end] = [Math.floor((at * size) / target), Math.ceil(((at + 1) * size) / target)];
          const part = b.op('Slice', [x, b.ints([start]), b.ints([end]), b.ints([i + 2])], {}, `${name}/part`);
          return b.op(opType, [part, b.ints([i + 2])], { keepdims: 1 }, `${name}/window`);
        });
        return parts.length === 1 ? parts[0]! : b.op('Concat', parts, { axis: i + 2 }, `${name}/pool`);
      },
      image(b, signal, format),
    );
    return imageSignal(value, signal.shape[0] ?? null, targets, channels, format);
  };

function imageSignalOf(
  value: string,
  signal: Signal,
  spatialRank: number,
  batch: number | null,
  channels: number | null,
  format: ReturnType<typeof dataFormat>,
): Signal {
  const ones = range(0, spatialRank).map(() => 1);
  if (format === 'channels_first') return plainSignal(value, [batch, channels, ...ones]);
  return { value, shape: [batch, ...ones, channels], channelsFirst: signal.channelsFirst };
}

export const POOLING_LAYERS: Readonly<Record<string, LayerConverter>> = Object.fromEntries(
  [1, 2, 3].flatMap((rank) => [
    [`MaxPooling${rank}D`, pool(rank, 'MaxPool')],
    [`MaxPool${rank}D`, pool(rank, 'MaxPool')],
    [`AveragePooling${rank}D`, pool(rank, 'AveragePool')],
    [`AvgPool${rank}D`, pool(rank, 'AveragePool')],
    [`AdaptiveMaxPooling${rank}D`, adaptivePool(rank, 'ReduceMax')],
    [`AdaptiveAveragePooling${rank}D`, adaptivePool(rank, 'ReduceMean')],
    [`GlobalMaxPooling${rank}D`, globalPool('ReduceMax')],
    [`GlobalMaxPool${rank}D`, globalPool('ReduceMax')],
    [`GlobalAveragePooling${rank}D`, globalPool('ReduceMean')],
    [`GlobalAvgPool${rank}D`, globalPool('ReduceMean')],
  ]),
);
