/** Batch, layer, group and RMS normalization. */
import {
  constant,
  flag,
  input,
  number,
  setting,
  UnsupportedLayer,
  weight,
  type LayerContext,
  type LayerConverter,
  type WeightArray,
} from '../layer.ts';
import { image, knownSize, plain, plainSignal, range, type Signal } from '../signal.ts';

/** Arrays in Keras's order, of which gamma and beta may be absent: ONNX requires them all. */
function takeArrays(
  ctx: LayerContext,
  names: readonly { name: string; present: boolean; fallback: number }[],
  size: number,
): Map<string, string> {
  let index = 0;
  const take = ({ name, present, fallback }: { name: string; present: boolean; fallback: number }): string =>
    present
      ? constant(ctx, name, weight(ctx, index++, name))
      : setting(ctx, name, [size], new Float32Array(size).fill(fallback));
  return new Map(names.map((entry) => [entry.name, take(entry)]));
}

const lastAxis = (signal: Signal, axis: unknown): number => {
  const single = Number(Array.isArray(axis) && axis.length === 1 ? axis[0] : (axis ?? -1));
  return single < 0 ? single + signal.shape.length : single;
};

const batchNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  const axis = lastAxis(signal, config['axis']);
  const size = knownSize(signal, axis, 'the normalized axis');
  const arrays = takeArrays(
    ctx,
    [
      { name: 'gamma', present: flag(config, 'scale', true), fallback: 1 },
      { name: 'beta', present: flag(config, 'center', true), fallback: 0 },
      { name: 'moving_mean', present: true, fallback: 0 },
      { name: 'moving_variance', present: true, fallback: 1 },
    ],
    size,
  );
  // Keras: new = momentum * old + (1 - momentum) * batch, as ONNX.
  const attributes = {
    epsilon: { float: number(config, 'epsilon', 1e-3) },
    momentum: { float: number(config, 'momentum', 0.99) },
  };
  const apply = (x: string): string =>
    b.op('BatchNormalization', [x, ...arrays.values()], attributes, `${name}/batch_norm`);
  if (axis === 1 && !signal.channelsFirst) return { ...signal, value: apply(signal.value) };
  if (axis !== rank - 1) return overMiddle(ctx, signal, axis, apply);
  if (rank === 2) return { ...signal, value: apply(signal.value) };
  return { ...signal, value: apply(image(b, signal, 'channels_last')), channelsFirst: true };
};

/** With the axis brought to the place of the channels, and back. */
function overMiddle({ b, name }: LayerContext, signal: Signal, axis: number, apply: (x: string) => string): Signal {
  const rank = signal.shape.length;
  const perm = [0, axis, ...range(1, rank).filter((other) => other !== axis)];
  const turned = apply(b.op('Transpose', [plain(b, signal)], { perm }, `${name}/channel_second`));
  return plainSignal(
    b.op('Transpose', [turned], { perm: range(0, rank).map((place) => perm.indexOf(place)) }, `${name}/channel_back`),
    signal.shape,
  );
}

/** (x - mean) / sqrt(variance + epsilon) over any axes, from single operators; gamma and beta lie along those axes. */
function normalizedOver(ctx: LayerContext, signal: Signal, axes: readonly number[], way: 'layer' | 'rms'): Signal {
  const { b, name, config } = ctx;
  const x = plain(b, signal);
  const places = b.ints(axes);
  const centred =
    way === 'rms'
      ? x
      : b.op('Sub', [x, b.op('ReduceMean', [x, places], { keepdims: 1 }, `${name}/mean`)], {}, `${name}/centred`);
  const square = b.op(
    'ReduceMean',
    [b.op('Mul', [centred, centred], {}, `${name}/square`), places],
    { keepdims: 1 },
    `${name}/variance`,
  );
  const deviation = b.op(
    'Sqrt',
    [b.op('Add', [square, b.scalar(number(config, 'epsilon', way === 'rms' ? 1e-6 : 1e-3))], {}, `${name}/shifted`)],
    {},
    `${name}/deviation`,
  );
  const normalized = b.op('Div', [centred, deviation], {}, `${name}/normalized`);
  const dims = signal.shape.map((size, axis) => (axes.includes(axis) ? Number(size) : 1));
  const along = (what: string, { values }: WeightArray): string => b.weight(`${name}/${what}`, dims, values);
  const scaled = way === 'rms' ? ctx.weights.length > 0 : flag(config, 'scale', true);
  const multiplied = scaled
    ? b.op('Mul', [normalized, along('gamma', weight(ctx, 0, 'gamma'))], {}, `${name}/scaled`)
    : normalized;
  if (way === 'rms' || !flag(config, 'center', true)) return plainSignal(multiplied, signal.shape);
  return plainSignal(
    b.op('Add', [multiplied, along('beta', weight(ctx, scaled ? 1 : 0, 'beta'))], {}, `${name}/moved`),
    signal.shape,
  );
}

const layerNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  const axes = [config['axis'] ?? -1]
    .flat()
    .map((axis) => (Number(axis) + rank) % rank)
    .sort((a, z) => a - z);
  const first = axes[0]!;
  if (axes.some((axis, i) => axis !== first + i) || axes.at(-1) !== rank - 1)
    return normalizedOver(ctx, signal, axes, 'layer');
  const size = axes.map((axis) => knownSize(signal, axis, 'a normalized axis')).reduce((a, d) => a * d, 1);
  const rms = flag(config, 'rms_scaling', false);
  const arrays = takeArrays(
    ctx,
    [
      { name: 'gamma', present: flag(config, 'scale', true), fallback: 1 },
      { name: 'beta', present: flag(config, 'center', true) && !rms, fallback: 0 },
    ],
    size,
  );
  if (rms)
    throw new UnsupportedLayer(
      'rms_scaling of LayerNormalization (Keras scales by the variance there): use RMSNormalization',
    );
  return plainSignal(
    b.op(
      'LayerNormalization',
      [plain(b, signal), ...arrays.values()],
      { axis: first, epsilon: { float: number(config, 'epsilon', 1e-3) } },
      `${name}/layer_norm`,
    ),
    signal.shape,
  );
};

const groupNormalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const rank = signal.shape.length;
  const axis = lastAxis(signal, config['axis']);
  const channels = knownSize(signal, axis, 'the channel axis');
  const groups = number(config, 'groups', 32);
  const arrays = takeArrays(
    ctx,
    [
      { name: 'gamma', present: flag(config, 'scale', true), fallback: 1 },
      { name: 'beta', present: flag(config, 'center', true), fallback: 0 },
    ],
    channels,
  );
  const attributes = {
    num_groups: groups === -1 ? channels : groups,
    epsilon: { float: number(config, 'epsilon', 1e-3) },
  };
  const apply = (x: string): string =>
    b.op('GroupNormalization', [x, ...arrays.values()], attributes, `${name}/group_norm`);
  if (rank === 2) return flatGroups(ctx, signal, apply);
  if (axis !== rank - 1) return overMiddle(ctx, signal, axis, apply);
  const value = apply(image(b, signal, 'channels_last'));
  return { value, shape: signal.shape, channelsFirst: true };
};

/** ONNX requires a spatial axis: [n, c] -> [n, c, 1] and back. */
function flatGroups({ b, name }: LayerContext, signal: Signal, apply: (x: string) => string): Signal {
  const wide = b.op('Unsqueeze', [signal.value, b.ints([2])], {}, `${name}/wide`);
  return { ...signal, value: b.op('Squeeze', [apply(wide), b.ints([2])], {}, `${name}/flat`) };
}

/** x / rms(x) * gamma (Zhang and Sennrich 2019), in operators that every runtime has. */
const rmsNormalization: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const rank = signal.shape.length;
  return normalizedOver(
    ctx,
    signal,
    [ctx.config['axis'] ?? -1]
      .flat()
      .map((axis) => (Number(axis) + rank) % rank)
      .sort((a, z) => a - z),
    'rms',
  );
};

export const NORMALIZATION_LAYERS: Readonly<Record<string, LayerConverter>> = {
  BatchNormalization: batchNormalization,
  BatchNormalizationV1: batchNormalization,
  BatchNormalizationV2: batchNormalization,
  SyncBatchNormalization: batchNormalization,
  LayerNormalization: layerNormalization,
  GroupNormalization: groupNormalization,
  RMSNormalization: rmsNormalization,
};
