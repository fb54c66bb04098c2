/** Windows, discrete Fourier transforms and the mel scale: the front end of audio models. */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import { DATA_TYPES, type DataType, type Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import {
  firstInput,
  given,
  intsOfConstants,
  intsOfRun,
  onHost,
  ONNX_ORDER,
  ZERO,
  type HostForm,
  type Ints,
  needs,
} from './define.ts';
import { gatherAxis } from './device/rows.ts';
import { generate } from './host/data.ts';
import { matMul } from './matmul.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { resolveAxis, shapeOf, typeOf } from './shapes.ts';

const outputType = (info: NodeInfo): DataType => DATA_TYPES[info.int('output_datatype', 1)] ?? 'float32';

/** Sum of cosines: sum over k of terms[k] * cos(2 pi k n / N). */
function cosineWindow(type: string, terms: readonly number[]): Operator {
  const host: HostForm = needs(1, ([size], info) => {
    const length = nth(hostNumbers(size), 0);
    const period = info.int('periodic', 1) === 1 ? length : length - 1;
    return [
      generate(outputType(info), [length], (n) =>
        terms.reduce((sum, term, k) => sum + term * Math.cos((2 * Math.PI * k * n) / period), 0),
      ),
    ];
  });
  return {
    ...onHostOnly,
    type,
    since: 17,
    infer: (info) => [{ dtype: outputType(info), shape: [intsOfConstants(info)(0)?.[0] ?? null] }],
    host,
    device: onHost(host),
  };
}

/** The mel scale: 2595 * log10(1 + f / 700). */
const toMel = (hertz: number): number => 2595 * Math.log10(1 + hertz / 700);
const toHertz = (mel: number): number => 700 * (10 ** (mel / 2595) - 1);

/** Triangles over the bins of a spectrum, evenly spaced in mel: [dft_length / 2 + 1, num_mel_bins]. */
const melWeights: HostForm = (inputs, info) => {
  const [bins, length, rate, low, high] = inputs.map((input) => nth(hostNumbers(input!), 0)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const step = (toMel(high) - toMel(low)) / (bins + 2);
  const edges = Array.from({ length: bins + 2 }, (_, i) =>
    Math.floor(((length + 1) * toHertz(i * step + toMel(low))) / rate),
  );
  const rows = Math.floor(length / 2) + 1;
  return [
    generate(outputType(info), [rows, bins], (flat) => {
      const [row, mel] = [Math.floor(flat / bins), flat % bins];
      const [left, centre, right] = [edges[mel]!, edges[mel + 1]!, edges[mel + 2]!];
      if (row >= centre && row < right) return (right - row) / (right - centre);
      if (row === centre) return 1;
      return row >= left && row < centre ? (row - left) / (centre - left) : 0;
    }),
  ];
};

/** A transform is a product with a matrix of at most this many rows: differentiable, and enough for audio frames. */
const MAX_POINTS = 8192;

interface Transform {
  readonly length: number;
  readonly inverse: boolean;
  readonly oneSided: boolean;
}

/** x [..., n, 1 or 2] along its last but one axis -> [..., bins, 2]: real and imaginary parts. */
function transform(x: TfTensor, { length, inverse, oneSided }: Transform): TfTensor {
  if (length > MAX_POINTS)
    throw new LatheError(
      'unsupported-operator',
      `Fourier transforms of more than ${MAX_POINTS} points are not computed by the training engine`,
    );
  const bins = oneSided ? Math.floor(length / 2) + 1 : length;
  const used = Math.min(length, nth(x.shape, -2));
  const angle = (i: number): number => (2 * Math.PI * ((Math.floor(i / bins) * (i % bins)) % length)) / length;
  const table = (f: (angle: number) => number): TfTensor =>
    tf.tensor2d(
      Float32Array.from({ length: used * bins }, (_, i) => f(angle(i)) / (inverse ? length : 1)),
      [used, bins],
    );
  const cosines = table(Math.cos);
  const sines = table(inverse ? (a) => -Math.sin(a) : Math.sin);
  const part = (index: number): TfTensor => {
    const begin = x.shape.map((_, axis) => (axis === x.rank - 1 ? index : 0));
    const size = x.shape.map((dim, axis) => (axis === x.rank - 1 ? 1 : axis === x.rank - 2 ? used : dim));
    return tf.reshape(tf.slice(x, begin, size), [...x.shape.slice(0, -2), used]);
  };
  const real = part(0);
  if (x.shape.at(-1) === 1) return tf.stack([matMul(real, cosines), tf.neg(matMul(real, sines))], -1);
  const imaginary = part(1);
  return tf.stack(
    [tf.add(matMul(real, cosines), matMul(imaginary, sines)), tf.sub(matMul(imaginary, cosines), matMul(real, sines))],
    -1,
  );
}

/**
 * One half of a spectrum [..., bins, 2] -> the real signal [..., length, 1] it is of: the other half is its conjugate,
 * so that each bin but the first and (of an even length) the middle one counts twice.
 */
function realSignal(spectrum: TfTensor, length: number): TfTensor {
  if (spectrum.shape.at(-1) !== 2) throw new GraphError('the inverse of a one-sided transform takes complex numbers');
  if (length > MAX_POINTS)
    throw new LatheError(
      'unsupported-operator',
      `Fourier transforms of more than ${MAX_POINTS} points are not computed by the training engine`,
    );
  const bins = Math.min(Math.floor(length / 2) + 1, nth(spectrum.shape, -2));
  const weight = (bin: number): number => (bin === 0 || 2 * bin === length ? 1 : 2) / length;
  const table = Float32Array.from({ length: 2 * bins * length }, (_, i) => {
    const [row, n] = [Math.floor(i / length), i % length];
    const bin = Math.floor(row / 2);
    const angle = (2 * Math.PI * ((bin * n) % length)) / length;
    return weight(bin) * (row % 2 === 0 ? Math.cos(angle) : -Math.sin(angle));
  });
  const used = tf.slice(
    spectrum,
    spectrum.shape.map(() => 0),
    spectrum.shape.map((dim, axis) => (axis === spectrum.rank - 2 ? bins : dim)),
  );
  const rows = tf.reshape(used, [...spectrum.shape.slice(0, -2), 2 * bins]);
  return tf.expandDims(matMul(rows, tf.tensor2d(table, [2 * bins, length])), -1);
}

/** The signal's axis: an attribute up to opset 19, an input since. */
function dftAxis(info: NodeInfo, ints: Ints, rank: number): number | null {
  if (info.opset < 20) return resolveAxis(info.int('axis', 1), rank);
  if (!given(info, 2)) return rank - 2;
  const axis = ints(2);
  return axis && resolveAxis(nth(axis, 0), rank);
}

/** From half a spectrum back to a real signal. */
const isToReal = (info: NodeInfo): boolean => info.int('inverse', 0) === 1 && info.int('onesided', 0) === 1;
const defaultLength = (info: NodeInfo, size: Dim): Dim =>
  isToReal(info) ? (typeof size === 'number' ? 2 * (size - 1) : null) : size;

function dft(ctx: RunContext): TfTensor[] {
  const x = ctx.tensor(0);
  const axis = dftAxis(ctx, intsOfRun(ctx), x.rank)!;
  const length = ctx.has(1) ? nth(ctx.hostInts(1), 0) : (defaultLength(ctx, nth(x.shape, axis)) as number);
  const swap = x.shape.map((_, i) => (i === axis ? x.rank - 2 : i === x.rank - 2 ? axis : i));
  const signal = axis === x.rank - 2 ? x : tf.transpose(x, swap);
  const turned = isToReal(ctx)
    ? realSignal(signal, length)
    : transform(signal, { length, inverse: ctx.int('inverse', 0) === 1, oneSided: ctx.int('onesided', 0) === 1 });
  return [axis === x.rank - 2 ? turned : tf.transpose(turned, swap)];
}

function inferDft(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (!shape) return [{ dtype, shape: null }];
  const ints = intsOfConstants(info);
  const axis = dftAxis(info, ints, shape.length);
  const length: Dim = given(info, 1)
    ? (ints(1)?.[0] ?? null)
    : axis === null
      ? null
      : defaultLength(info, nth(shape, axis));
  const bins =
    info.int('onesided', 0) === 1 && !isToReal(info)
      ? typeof length === 'number'
        ? Math.floor(length / 2) + 1
        : null
      : length;
  return [
    {
      dtype,
      shape: shape.map((dim, i) =>
        i === shape.length - 1 ? (isToReal(info) ? 1 : 2) : axis === null ? null : i === axis ? bins : dim,
      ),
    },
  ];
}

/** signal [b, length, 1 or 2] in frames of a window, one every `frame_step` -> [b, frames, bins, 2]. */
function stft(ctx: RunContext): TfTensor[] {
  const signal = ctx.tensor(0);
  const x = signal.rank === 2 ? tf.expandDims(signal, 2) : signal;
  const step = nth(ctx.hostInts(1), 0);
  const length = ctx.has(3) ? nth(ctx.hostInts(3), 0) : ctx.has(2) ? nth(ctx.dims(2), 0) : nth(x.shape, 1);
  const frames = 1 + Math.floor((nth(x.shape, 1) - length) / step);
  if (step < 1 || frames < 1)
    throw new GraphError(`a frame of ${length} every ${step} does not fit a signal of ${x.shape[1]}`);
  const positions = tf.tensor2d(
    Int32Array.from({ length: frames * length }, (_, i) => Math.floor(i / length) * step + (i % length)),
    [frames, length],
    'int32',
  );
  const framed = gatherAxis(x, positions, 1);
  const windowed = ctx.has(2) ? tf.mul(framed, tf.reshape(ctx.tensor(2), [1, 1, length, 1])) : framed;
  return [transform(windowed, { length, inverse: false, oneSided: ctx.int('onesided', 1) === 1 })];
}

function inferStft(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  const ints = intsOfConstants(info);
  const total = shape?.[1] ?? null;
  const length: Dim = given(info, 3)
    ? (ints(3)?.[0] ?? null)
    : given(info, 2)
      ? (shapeOf(info, 2)?.[0] ?? null)
      : total;
  const step = ints(1)?.[0];
  const frames =
    typeof total === 'number' && typeof length === 'number' && step ? 1 + Math.floor((total - length) / step) : null;
  const bins =
    typeof length === 'number' ? (info.int('onesided', 1) === 1 ? Math.floor(length / 2) + 1 : length) : null;
  return [{ dtype, shape: [shape?.[0] ?? null, frames, bins, 2] }];
}

const onHostOnly = { domain: '', layout: ONNX_ORDER, differentiability: ZERO } as const;

export const spectralOperators: readonly Operator[] = [
  cosineWindow('HannWindow', [0.5, -0.5]),
  cosineWindow('HammingWindow', [25 / 46, -21 / 46]),
  cosineWindow('BlackmanWindow', [0.42, -0.5, 0.08]),
  {
    ...onHostOnly,
    type: 'MelWeightMatrix',
    since: 17,
    host: melWeights,
    device: onHost(melWeights),
    infer: (info) => {
      const ints = intsOfConstants(info);
      const length = ints(1)?.[0];
      return [
        {
          dtype: outputType(info),
          shape: [length === undefined ? null : Math.floor(length / 2) + 1, ints(0)?.[0] ?? null],
        },
      ];
    },
  },
  {
    type: 'DFT',
    domain: '',
    since: 17,
    layout: ONNX_ORDER,
    differentiability: firstInput(0),
    infer: inferDft,
    device: dft,
  },
  {
    type: 'STFT',
    domain: '',
    since: 17,
    layout: ONNX_ORDER,
    differentiability: firstInput(0, 2),
    infer: inferStft,
    device: stft,
  },
];
