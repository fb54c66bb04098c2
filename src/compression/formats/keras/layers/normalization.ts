/** Batch, layer, group and RMS normalization. */
import { constant, flag, input, number, setting, UnsupportedLayer, weight, type LayerContext, type LayerConverter } from '../layer.ts';
import { image, knownSize, plain, plainSignal, type Signal } from '../signal.ts';

/** Arrays in Keras's order, of which gamma and beta may be absent: ONNX wants them all. */
function takeArrays(ctx: LayerContext, names: readonly { name: string; present: boolean; fallback: number }[], size: number): Map<string, string> {
  let index = 0;
  const take = ({ name, present, fallback }: { name: string; present: boolean; fallback: number }): string =>
    (present ? constant(ctx, name, weight(ctx, index++, name)) : setting(ctx, name, [size], new Float32Array(size).fill(fallback)));
  return new Map(names.map((entry) => [entry.name, take(entry)]));
}

const lastAxis = (signal: Signal, axis: unknown): number => {
  const single = Number(Array.isArray(axis) && axis.length === 1 ? axis[0] : axis ?? -1);
  return single < 0 ? single + signal.shape.length : single;
};

const batchNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  const axis = lastAxis(signal, config['axis']);
  const size = knownSize(signal, axis, 'the normalized axis');
  const arrays = takeArrays(ctx, [
    { name: 'gamma', present: flag(config, 'scale', true), fallback: 1 }, { name: 'beta', present: flag(config, 'center', true), fallback: 0 },
    { name: 'moving_mean', present: true, fallback: 0 }, { name: 'moving_variance', present: true, fallback: 1 },
  ], size);
  // Keras: new = momentum * old + (1 - momentum) * batch, as ONNX.
  const attributes = { epsilon: { float: number(config, 'epsilon', 1e-3) }, momentum: { float: number(config, 'momentum', 0.99) } };
  const apply = (x: string): string => b.op('BatchNormalization', [x, ...arrays.values()], attributes, `${name}/batch_norm`);
  if (axis === 1 && !signal.channelsFirst) return { ...signal, value: apply(signal.value) };
  if (axis !== rank - 1) throw new UnsupportedLayer(`batch normalization over axis ${axis} of ${rank}`);
  if (rank === 2) return { ...signal, value: apply(signal.value) };
  return { ...signal, value: apply(image(b, signal, 'channels_last')), channelsFirst: true };
};

const layerNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  const axes = [config['axis'] ?? -1].flat().map((axis) => (Number(axis) + rank) % rank).sort((a, z) => a - z);
  const first = axes[0]!;
  if (axes.some((axis, i) => axis !== first + i) || axes.at(-1) !== rank - 1) throw new UnsupportedLayer('layer normalization over axes that are not the last ones');
  const size = axes.map((axis) => knownSize(signal, axis, 'a normalized axis')).reduce((a, d) => a * d, 1);
  const rms = flag(config, 'rms_scaling', false);
  const arrays = takeArrays(ctx, [{ name: 'gamma', present: flag(config, 'scale', true), fallback: 1 }, { name: 'beta', present: flag(config, 'center', true) && !rms, fallback: 0 }], size);
  if (rms) throw new UnsupportedLayer('rms_scaling of LayerNormalization (Keras scales by the variance there): use RMSNormalization');
  return plainSignal(b.op('LayerNormalization', [plain(b, signal), ...arrays.values()], { axis: first, epsilon: { float: number(config, 'epsilon', 1e-3) } }, `${name}/layer_norm`), signal.shape);
};

const groupNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  if (lastAxis(signal, config['axis']) !== rank - 1) throw new UnsupportedLayer('group normalization over an axis that is not the last');
  const channels = knownSize(signal, -1, 'the channel axis');
  const groups = number(config, 'groups', 32);
  const arrays = takeArrays(ctx, [{ name: 'gamma', present: flag(config, 'scale', true), fallback: 1 }, { name: 'beta', present: flag(config, 'center', true), fallback: 0 }], channels);
  const value = b.op('GroupNormalization', [image(b, signal, 'channels_last'), ...arrays.values()], { num_groups: groups === -1 ? channels : groups, epsilon: { float: number(config, 'epsilon', 1e-3) } }, `${name}/group_norm`);
  return rank === 2 ? { ...signal, value } : { value, shape: signal.shape, channelsFirst: true };
};

/** x / rms(x) * gamma over the last axis, in operators that every runtime has. */
const rmsNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  if (lastAxis(signal, config['axis']) !== signal.shape.length - 1) throw new UnsupportedLayer('RMS normalization over an axis that is not the last');
  const x = plain(b, signal);
  const meanSquare = b.op('ReduceMean', [b.op('Mul', [x, x], {}, `${name}/square`), b.ints([-1])], { keepdims: 1 }, `${name}/mean_square`);
  const rms = b.op('Sqrt', [b.op('Add', [meanSquare, b.scalar(number(config, 'epsilon', 1e-6))], {}, `${name}/shifted`)], {}, `${name}/rms`);
  const normalized = b.op('Div', [x, rms], {}, `${name}/normalized`);
  return plainSignal(ctx.weights.length > 0 ? b.op('Mul', [normalized, constant(ctx, 'scale', weight(ctx, 0, 'scale'))], {}, `${name}/scaled`) : normalized, signal.shape);
};

export const NORMALIZATION_LAYERS: Readonly<Record<string, LayerConverter>> = {
  BatchNormalization: batchNormalization, BatchNormalizationV1: batchNormalization, SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization, GroupNormalization: groupNormalization, RMSNormalization: rmsNormalization,
};
