/** Pooling of 1 to 3 dimensions, windowed and global. */
import { dataFormat, flag, input, ints, text, type LayerContext, type LayerConverter } from '../layer.ts';
import { image, imageShape, imageSignal, plainSignal, range, type Signal } from '../signal.ts';
import { padAttributes, windowResult } from './window.ts';

const pool = (rank: number, opType: 'MaxPool' | 'AveragePool'): LayerConverter => (ctx) => {
  const { config, b, name } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const { spatial, channels } = imageShape(signal, format);
  const kernel = ints(config, 'pool_size', rank, 2);
  const strides = config['strides'] == null ? kernel : ints(config, 'strides', rank, 1);
  const window = { kernel, strides, dilations: kernel.map(() => 1), padding: text(config, 'padding', 'valid').toLowerCase() };
  const attributes = { kernel_shape: kernel, strides, ...padAttributes(spatial, window) };
  const value = b.op(opType, [image(b, signal, format)], attributes, `${name}/pool`);
  return imageSignal(value, signal.shape[0] ?? null, windowResult(spatial, window), channels, format);
};

const globalPool = (opType: 'ReduceMax' | 'ReduceMean'): LayerConverter => (ctx: LayerContext): Signal => {
  const { config, b, name } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const rank = signal.shape.length;
  const { channels } = imageShape(signal, format);
  const keep = flag(config, 'keepdims', false);
  const channelsSecond = signal.channelsFirst || format === 'channels_first';
  const axes = channelsSecond ? range(2, rank) : range(1, rank - 1);
  const value = opType === 'ReduceMean' && channelsSecond && rank > 3 && keep
    ? b.op('GlobalAveragePool', [signal.value], {}, `${name}/pool`)
    : b.op(opType, [signal.value, b.ints(axes)], { keepdims: keep ? 1 : 0 }, `${name}/pool`);
  const batch = signal.shape[0] ?? null;
  return keep ? imageSignalOf(value, signal, axes.length, batch, channels, format) : plainSignal(value, [batch, channels]);
};

function imageSignalOf(value: string, signal: Signal, spatialRank: number, batch: number | null, channels: number | null, format: ReturnType<typeof dataFormat>): Signal {
  const ones = range(0, spatialRank).map(() => 1);
  if (format === 'channels_first') return plainSignal(value, [batch, channels, ...ones]);
  return { value, shape: [batch, ...ones, channels], channelsFirst: signal.channelsFirst };
}

export const POOLING_LAYERS: Readonly<Record<string, LayerConverter>> = Object.fromEntries(
  [1, 2, 3].flatMap((rank) => [
    [`MaxPooling${rank}D`, pool(rank, 'MaxPool')], [`MaxPool${rank}D`, pool(rank, 'MaxPool')],
    [`AveragePooling${rank}D`, pool(rank, 'AveragePool')], [`AvgPool${rank}D`, pool(rank, 'AveragePool')],
    [`GlobalMaxPooling${rank}D`, globalPool('ReduceMax')], [`GlobalMaxPool${rank}D`, globalPool('ReduceMax')],
    [`GlobalAveragePooling${rank}D`, globalPool('ReduceMean')], [`GlobalAvgPool${rank}D`, globalPool('ReduceMean')],
  ]),
);
