/** Short-time Fourier transforms as convolutions: STFTSpectrogram, whose kernels are weights, and MelSpectrogram. */
import {
  dataFormat,
  flag,
  input,
  number,
  text,
  transpose,
  UnsupportedLayer,
  weight,
  type Config,
  type LayerContext,
  type LayerConverter,
} from '../layer.ts';
import { plain, plainSignal, range, type Signal } from '../signal.ts';
import { padAttributes, windowResult, type Window } from './window.ts';

const EPSILON = 1e-7;

const stftSpectrogram: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const last = dataFormat(config) === 'channels_last';
  const [steps, channels] = last
    ? [signal.shape[1] ?? null, signal.shape[2]]
    : [signal.shape[2] ?? null, signal.shape[1]];
  if (typeof channels !== 'number')
    throw new UnsupportedLayer('a spectrogram of a dynamic number of channels is not supported');
  const mode = text(config, 'mode', 'log');
  if (mode === 'angle') throw new UnsupportedLayer('mode "angle": ONNX has no arctangent of two arguments');
  const length = number(config, 'frame_length', 256);
  const window: Window = {
    kernel: [length],
    strides: [typeof config['frame_step'] === 'number' ? config['frame_step'] : Math.floor(length / 2)],
    dilations: [1],
    padding: text(config, 'padding', 'valid'),
  };
  const x = last ? b.op('Transpose', [plain(b, signal)], { perm: [0, 2, 1] }, `${name}/channels`) : plain(b, signal);
  const flat = reshapedTo(ctx, x, { first: [-1, 1], start: 2, labels: ['length', 'flat_shape', 'flat'] });
  const part = (index: number, what: string): string =>
    b.op(
      'Conv',
      [flat, kernelOf(ctx, index, what)],
      { kernel_shape: window.kernel, strides: window.strides, group: 1, ...padAttributes([steps], window) },
      `${name}/${what}`,
    );
  const value = modeOf(ctx, mode, part);
  const bins = weight(ctx, 0, 'kernel').dims[2]! * (mode === 'stft' ? 2 : 1);
  const frames = windowResult([steps], window)[0] ?? null;
  // [n c, bins, frames] -> [n, c, bins, frames]
  const labels = ['frame_shape', 'apart_shape', 'apart'] as const;
  const apart = reshapedTo(ctx, value, { first: [-1, channels], start: 1, labels });
  return arranged(ctx, apart, { batch: signal.shape[0] ?? null, channels, bins, frames });
};

interface SpectrogramSizes {
  readonly batch: number | null;
  readonly channels: number;
  readonly bins: number;
  readonly frames: number | null;
}

/** [n, c, bins, frames] as the layer's options ask for it: bins and channels as axes of their own, or joined. */
function arranged(ctx: LayerContext, apart: string, { batch, channels, bins, frames }: SpectrogramSizes): Signal {
  const { b, name, config } = ctx;
  const last = dataFormat(config) === 'channels_last';
  if (flag(config, 'expand_dims', false)) {
    const perm = last ? [0, 3, 2, 1] : [0, 1, 3, 2];
    return plainSignal(
      b.op('Transpose', [apart], { perm }, `${name}/spectrogram`),
      last ? [batch, frames, bins, channels] : [batch, channels, frames, bins],
    );
  }
  const features = channels * bins;
  const labels = ['frames', 'joined_shape', 'joined'] as const;
  const joined = reshapedTo(ctx, apart, { first: [0, features], start: 3, labels });
  return last
    ? plainSignal(b.op('Transpose', [joined], { perm: [0, 2, 1] }, `${name}/spectrogram`), [batch, frames, features])
    : plainSignal(joined, [batch, features, frames]);
}

interface Reshaping {
  /** The first axes of the result. */
  readonly first: readonly number[];
  /** The axis of the input from which on the rest is taken over. */
  readonly start: number;
  /** Of the nodes for the input's shape, the result's shape and the result. */
  readonly labels: readonly [string, string, string];
}

function reshapedTo({ b, name }: LayerContext, x: string, { first, start, labels }: Reshaping): string {
  const [shape, whole, result] = labels.map((label) => `${name}/${label}`) as [string, string, string];
  const sizes = b.op('Concat', [b.ints(first), b.op('Shape', [x], { start }, shape)], { axis: 0 }, whole);
  return b.op('Reshape', [x, sizes], {}, result);
}

/** Keras [frame, 1, bins] -> ONNX [bins, 1, frame]. */
function kernelOf(ctx: LayerContext, index: number, what: string): string {
  const { dims, values } = transpose(weight(ctx, index, `${what} kernel`), [2, 1, 0]);
  return ctx.b.weight(`${ctx.name}/${what}_kernel`, dims, values);
}

function modeOf({ b, name }: LayerContext, mode: string, part: (index: number, what: string) => string): string {
  if (mode === 'real' || mode === 'imag') return part(0, mode);
  const [real, imaginary] = [part(0, 'real'), part(1, 'imag')];
  if (mode === 'stft') return b.op('Concat', [real, imaginary], { axis: 1 }, `${name}/stft`);
  const square = (x: string): string => b.op('Mul', [x, x], {}, `${name}/square`);
  const power = b.op('Add', [square(real), square(imaginary)], {}, `${name}/power`);
  if (mode === 'psd') {
    // One side stands for both: all bins but the first and the last count twice.
    const inner = b.op('Slice', [power, b.ints([1]), b.ints([-1]), b.ints([1])], {}, `${name}/inner`);
    return b.op(
      'Add',
      [power, b.op('Pad', [inner, b.ints([0, 1, 0, 0, 1, 0]), b.scalar(0)], {}, `${name}/other_side`)],
      {},
      `${name}/psd`,
    );
  }
  const floor = (x: string): string => b.op('Max', [x, b.scalar(EPSILON)], {}, `${name}/floor`);
  const magnitude = b.op('Sqrt', [floor(power)], {}, `${name}/magnitude`);
  return mode === 'magnitude' ? magnitude : b.op('Log', [floor(magnitude)], {}, `${name}/log`);
}

/** The window of `length` samples, periodic, in the middle of `size`. */
function windowOf(kind: unknown, length: number, size: number): number[] {
  const start = Math.floor((size - length) / 2);
  const shapes: Readonly<Record<string, (phase: number) => number>> = {
    hann: (phase) => 0.5 - 0.5 * Math.cos(phase),
    hamming: (phase) => 0.54 - 0.46 * Math.cos(phase),
  };
  const shape = kind == null ? (): number => 1 : shapes[String(kind)];
  if (!shape) throw new UnsupportedLayer(`the window "${String(kind)}" is not supported`);
  return range(0, size).map((i) =>
    i < start || i >= start + length ? 0 : shape((2 * Math.PI * (i - start)) / length),
  );
}

/** Mel of a frequency in hertz (HTK). */
const mel = (hertz: number): number => 1127 * Math.log(1 + hertz / 700);

/** [bins, mels]: triangles over the mel scale, without the constant bin. */
function melMatrix(config: Config, bins: number, mels: number): Float32Array {
  const nyquist = number(config, 'sampling_rate', 16000) / 2;
  const high = typeof config['max_freq'] === 'number' ? config['max_freq'] : nyquist;
  const [low, top] = [mel(number(config, 'min_freq', 20)), mel(high)];
  const edges = range(0, mels + 2).map((i) => low + ((top - low) * i) / (mels + 1));
  return Float32Array.from({ length: bins * mels }, (_, at) => {
    const [bin, m] = [Math.floor(at / mels), at % mels];
    if (bin === 0) return 0;
    const place = mel((nyquist * bin) / (bins - 1));
    const [left, centre, right] = edges.slice(m, m + 3) as [number, number, number];
    return Math.max(0, Math.min((place - left) / (centre - left), (right - place) / (right - centre)));
  });
}

const melSpectrogram: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  if (signal.shape.length !== 2)
    throw new UnsupportedLayer('a mel spectrogram of tensors of a rank other than 2 is not supported');
  const size = number(config, 'fft_length', 2048);
  const [stride, length] = [number(config, 'sequence_stride', 512), number(config, 'sequence_length', size)];
  const [bins, mels] = [Math.floor(size / 2) + 1, number(config, 'num_mel_bins', 128)];
  const window = windowOf(config['window'] === undefined ? 'hann' : config['window'], length, size);
  const wave = (turn: (angle: number) => number, what: string): string =>
    b.setting(`${name}/${what}`, [bins, 1, size], windowedWaves(window, bins, turn));
  const half = Math.floor(size / 2);
  const padded = b.op('Pad', [plain(b, signal), b.ints([0, half, 0, half])], { mode: 'reflect' }, `${name}/padded`);
  const x = b.op('Unsqueeze', [padded, b.ints([1])], {}, `${name}/channel`);
  const power = (kernel: string): string => {
    const y = b.op('Conv', [x, kernel], { kernel_shape: [size], strides: [stride], group: 1 }, `${name}/transform`);
    return b.op('Mul', [y, y], {}, `${name}/square`);
  };
  const magnitude = b.op(
    'Sqrt',
    [b.op('Add', [power(wave(Math.cos, 'cosines')), power(wave(Math.sin, 'sines'))], {}, `${name}/power`)],
    {},
    `${name}/magnitude`,
  );
  const raised = b.op('Pow', [magnitude, b.scalar(number(config, 'mag_exp', 2))], {}, `${name}/raised`);
  const matrix = transpose({ dims: [bins, mels], values: melMatrix(config, bins, mels) }, [1, 0]);
  const value = b.op(
    'MatMul',
    [b.setting(`${name}/mel_matrix`, matrix.dims, matrix.values), raised],
    {},
    `${name}/mel`,
  );
  const steps = signal.shape[1] ?? null;
  const frames = steps === null ? null : Math.floor((steps + 2 * half - size) / stride) + 1;
  return plainSignal(flag(config, 'power_to_db', true) ? decibels(ctx, value) : value, [
    signal.shape[0] ?? null,
    mels,
    frames,
  ]);
};

/** [bins, size]: a wave of each bin's frequency over the window. */
function windowedWaves(window: readonly number[], bins: number, turn: (angle: number) => number): number[] {
  const size = window.length;
  const angle = (bin: number, i: number): number => (2 * Math.PI * ((bin * i) % size)) / size;
  return range(0, bins).flatMap((bin) => window.map((weight, i) => weight * turn(angle(bin, i))));
}

/** 10 log10(max(x, floor) / reference), no lower than `top_db` under the largest of all. */
function decibels({ b, name, config }: LayerContext, value: string): string {
  const minPower = number(config, 'min_power', 1e-10);
  const reference = 10 * Math.log10(Math.max(Math.abs(number(config, 'ref_power', 1)), minPower));
  const log = b.op(
    'Mul',
    [
      b.op('Log', [b.op('Max', [value, b.scalar(minPower)], {}, `${name}/floor`)], {}, `${name}/log`),
      b.scalar(10 / Math.LN10),
    ],
    {},
    `${name}/decibels`,
  );
  const relative = b.op('Sub', [log, b.scalar(reference)], {}, `${name}/relative`);
  const loudest = b.op('ReduceMax', [relative], { keepdims: 0 }, `${name}/loudest`);
  return b.op(
    'Max',
    [relative, b.op('Sub', [loudest, b.scalar(number(config, 'top_db', 80))], {}, `${name}/bottom`)],
    {},
    `${name}/clipped`,
  );
}

export const SPECTROGRAM_LAYERS: Readonly<Record<string, LayerConverter>> = {
  STFTSpectrogram: stftSpectrogram,
  MelSpectrogram: melSpectrogram,
};
