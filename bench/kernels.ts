/**
 * Convolutions and products, shape by shape: TensorFlow's operations against the engine's own, for the processor's
 * instruction set or the one LATHE_KERNELS names
 */
import { engine, startEngine } from '../src/compression/tensor/engine.ts';
import { rawOp } from '../src/compression/tensor/native/raw-op.ts';
import type { AttributeValue } from '../src/compression/tensor/native/raw-op.ts';
import type { ConvSizes } from '../src/compression/tensor/nn/kernel-choice.ts';
import { tf } from '../src/compression/tensor/tf.ts';
import type { TfTensor } from '../src/compression/tensor/tf.ts';
import { saveResult } from './result.ts';

/** [n, height = width, ci, co, kernel, stride, pad]: those of the benchmarked networks, and some between. */
const CONVS: readonly (readonly [number, number, number, number, number, number, number])[] = [
  [128, 32, 3, 16, 3, 1, 1],
  [128, 32, 16, 16, 3, 1, 1],
  [128, 32, 16, 32, 3, 2, 1],
  [128, 16, 32, 32, 3, 1, 1],
  [128, 16, 32, 64, 3, 2, 1],
  [128, 8, 64, 64, 3, 1, 1],
  [128, 32, 16, 32, 1, 2, 0],
  [128, 28, 1, 20, 5, 1, 0],
  [128, 12, 20, 50, 5, 1, 0],
  [32, 64, 3, 64, 3, 2, 1],
  [32, 32, 64, 64, 3, 1, 1],
  [32, 32, 64, 128, 3, 2, 1],
  [32, 16, 128, 128, 3, 1, 1],
  [32, 16, 128, 256, 3, 2, 1],
  [32, 8, 256, 256, 3, 1, 1],
  [32, 8, 256, 512, 3, 2, 1],
  [32, 4, 512, 512, 3, 1, 1],
  [64, 32, 24, 144, 1, 1, 0],
  [64, 32, 144, 24, 1, 1, 0],
  [64, 16, 32, 192, 1, 1, 0],
  [64, 16, 192, 32, 1, 1, 0],
  [64, 8, 64, 384, 1, 1, 0],
  [64, 8, 384, 64, 1, 1, 0],
  [32, 32, 24, 24, 3, 1, 1],
  [32, 32, 48, 48, 3, 1, 1],
  [8, 56, 64, 64, 3, 1, 1],
  [8, 14, 256, 256, 3, 1, 1],
  [8, 7, 512, 512, 3, 1, 1],
  [4, 112, 3, 64, 7, 2, 3],
  [8, 56, 32, 64, 5, 2, 2],
];

/** [n, height = width, channels, stride], kernels of 3 x 3. */
const DEPTHWISE: readonly (readonly [number, number, number, number])[] = [
  [64, 32, 96, 1],
  [64, 32, 144, 1],
  [64, 32, 144, 2],
  [64, 16, 192, 1],
  [64, 8, 384, 1],
  [8, 56, 64, 1],
];

/** [m, k, n], and which factor is transposed. */
const PRODUCTS: readonly (readonly [number, number, number, '' | 'a' | 'b'])[] = [
  [128, 784, 300, ''],
  [784, 128, 300, 'a'],
  [128, 300, 784, 'b'],
  [128, 300, 100, ''],
  [300, 128, 100, 'a'],
  [128, 800, 500, ''],
  [800, 128, 500, 'a'],
  [128, 500, 800, 'b'],
  [128, 100, 10, ''],
  [4096, 128, 128, ''],
  [4096, 128, 512, ''],
  [4096, 512, 128, ''],
  [4096, 512, 128, 'b'],
  [128, 4096, 128, 'a'],
  [512, 4096, 128, 'a'],
  [128, 4096, 512, 'a'],
  [6400, 128, 512, ''],
  [512, 6400, 128, 'a'],
  [1024, 1024, 1024, ''],
  [16, 512, 512, ''],
];

const ROUNDS = 12;
const FLOAT = { T: { type: 'float32' } } as const;
/** Sums of up to 10^5 float32 products in different orders, relative to the largest result. */
const ROUNDING = 1e-4;

interface Contender {
  readonly name: string;
  run(): TfTensor;
}

interface Row {
  readonly operation: string;
  readonly shape: string;
  readonly conv?: ConvSizes;
  readonly gigaflop: number;
  readonly ms: Readonly<Record<string, number>>;
}

type Attributes = Record<string, AttributeValue>;
const call = (name: string, op: string, inputs: readonly TfTensor[], attributes: Attributes): Contender => ({
  name,
  run: () => rawOp(op, inputs, attributes),
});

/** Milliseconds by contender, the least of some rounds in turns. @throws Error where two disagree */
function compare(contenders: readonly (Contender | null)[]): Record<string, number> {
  const present = contenders.filter((each) => each !== null);
  const best: Record<string, number> = {};
  const results = present.map(({ run }) => run());
  for (const other of results.slice(1)) checkEqual(results[0]!, other);
  tf.dispose(results);
  for (let round = 0; round < ROUNDS; round++)
    for (const { name, run } of present) {
      const start = performance.now();
      const result = run();
      best[name] = Math.min(best[name] ?? Infinity, performance.now() - start);
      result.dispose();
    }
  return best;
}

function checkEqual(a: TfTensor, b: TfTensor): void {
  const [difference, size] = tf.tidy(() => [
    tf.max(tf.abs(tf.sub(a, b))).dataSync()[0]!,
    tf.max(tf.abs(a)).dataSync()[0]!,
  ]);
  if (!(difference <= ROUNDING * size))
    throw new Error(`two kernels differ by ${difference} where the largest value is ${size}`);
}

/** The inputs of all contenders for one convolution. */
interface ConvProblem {
  readonly x: TfTensor;
  readonly w: TfTensor;
  readonly dy: TfTensor;
  readonly pad: number;
  readonly ours: Attributes;
  readonly theirs: Attributes;
}

function convProblem(
  n: number,
  size: number,
  ci: number,
  kernelShape: readonly number[],
  co: number,
  stride: number,
  pad: number,
): ConvProblem {
  const kernel = kernelShape[0]!;
  const out = Math.floor((size + 2 * pad - kernel) / stride) + 1;
  return {
    x: tf.randomNormal([n, size, size, ci]),
    w: tf.randomNormal([...kernelShape]),
    dy: tf.randomNormal([n, out, out, co]),
    pad,
    ours: { strides: { int: [stride, stride] }, pads: { int: [pad, pad, pad, pad] } },
    theirs: {
      ...FLOAT,
      strides: { int: [1, stride, stride, 1] },
      data_format: { string: 'NHWC' },
      dilations: { int: [1, 1, 1, 1] },
      padding: { string: pad > 0 && stride === 1 ? 'SAME' : 'VALID' },
    },
  };
}

/** Adds pads that TensorFlow cannot name to the image and cuts them off its gradient, as the engine does. */
function tensorflowPasses(
  { x, w, dy, pad, theirs }: ConvProblem,
  ops: Readonly<Record<'forward' | 'input' | 'kernel', string>>,
): [Contender, Contender, Contender] {
  const isNamed =
    theirs['padding'] && 'string' in theirs['padding'] && (theirs['padding'].string === 'SAME' || pad === 0);
  const [n = 0, size = 0, , ci = 0] = x.shape;
  const padded = () =>
    isNamed
      ? x
      : tf.pad(x as ReturnType<typeof tf.tensor4d>, [
          [0, 0],
          [pad, pad],
          [pad, pad],
          [0, 0],
        ]);
  const whole = isNamed ? x.shape : [n, size + 2 * pad, size + 2 * pad, ci];
  const inTidy = (run: () => TfTensor): Contender => ({ name: 'tensorflow', run: () => tf.tidy(run) });
  return [
    inTidy(() => rawOp(ops.forward, [padded(), w], theirs)),
    inTidy(() => {
      const gradient = rawOp(ops.input, [tf.tensor1d(whole, 'int32'), w, dy], theirs);
      return isNamed ? gradient : tf.slice(gradient, [0, pad, pad, 0], x.shape);
    }),
    inTidy(() => rawOp(ops.kernel, [padded(), tf.tensor1d(w.shape, 'int32'), dy], theirs)),
  ];
}

function convRows([n, size, ci, co, kernel, stride, pad]: (typeof CONVS)[number]): Row[] {
  const problem = convProblem(n, size, ci, [kernel, kernel, ci, co], co, stride, pad);
  const { x, w, dy, ours } = problem;
  const out = dy.shape[1]!;
  const [forward, input, kernels] = tensorflowPasses(problem, {
    forward: 'Conv2D',
    input: 'Conv2DBackpropInput',
    kernel: 'Conv2DBackpropFilter',
  });
  const winograd = (op: string, inputs: readonly TfTensor[]) =>
    kernel === 3 && stride === 1 ? call('winograd', op, inputs, { pads: ours['pads']! }) : null;
  const common = {
    shape: `${n}x${size}x${size}x${ci} to ${co}, ${kernel}x${kernel}, stride ${stride}`,
    gigaflop: (2 * n * out * out * co * ci * kernel * kernel) / 1e9,
    conv: {
      batch: n,
      image: [size, size],
      result: [out, out],
      ci,
      co,
      kernel: [kernel, kernel],
      strides: [stride, stride],
    } as const,
  };
  const rows = [
    {
      ...common,
      operation: 'forward',
      ms: compare([forward, call('direct', 'LatheConv', [x, w], ours), winograd('LatheWinogradConv', [x, w])]),
    },
    {
      ...common,
      operation: 'input gradient',
      ms: compare([
        input,
        call('direct', 'LatheConvInputGrad', [dy, w], { ...ours, image: { int: [size, size] } }),
        winograd('LatheWinogradInputGrad', [dy, w]),
      ]),
    },
    {
      ...common,
      operation: 'kernel gradient',
      ms: compare([
        kernels,
        call('direct', 'LatheConvKernelGrad', [x, dy], { ...ours, kernel: { int: [kernel, kernel] } }),
        winograd('LatheWinogradKernelGrad', [x, dy]),
      ]),
    },
  ];
  tf.dispose([x, w, dy]);
  return rows;
}

function depthwiseRows([n, size, channels, stride]: (typeof DEPTHWISE)[number]): Row[] {
  const problem = convProblem(n, size, channels, [3, 3, channels, 1], channels, stride, 1);
  const { x, w, dy, ours } = problem;
  const native = 'DepthwiseConv2dNative';
  const [forward, input, kernels] = tensorflowPasses(problem, {
    forward: native,
    input: `${native}BackpropInput`,
    kernel: `${native}BackpropFilter`,
  });
  const own = tf.reshape(w, [3, 3, 1, channels]);
  const likeTheirs = (contender: Contender): Contender => ({
    ...contender,
    run: () => tf.tidy(() => tf.reshape(contender.run(), w.shape)),
  });
  const common = { shape: `${n}x${size}x${size}x${channels}, stride ${stride}`, gigaflop: (18 * dy.size) / 1e9 };
  const rows = [
    {
      ...common,
      operation: 'depthwise forward',
      ms: compare([forward, call('own', 'LatheDepthwise', [x, own], ours)]),
    },
    {
      ...common,
      operation: 'depthwise input gradient',
      ms: compare([
        input,
        call('own', 'LatheDepthwiseInputGrad', [dy, own], { ...ours, image: { int: [size, size] } }),
      ]),
    },
    {
      ...common,
      operation: 'depthwise kernel gradient',
      ms: compare([
        kernels,
        likeTheirs(call('own', 'LatheDepthwiseKernelGrad', [x, dy], { ...ours, kernel: { int: [3, 3] } })),
      ]),
    },
  ];
  tf.dispose([x, w, dy, own]);
  return rows;
}

function productRow([m, k, n, transposed]: (typeof PRODUCTS)[number]): Row {
  const [a, b] = [
    tf.randomNormal(transposed === 'a' ? [k, m] : [m, k]),
    tf.randomNormal(transposed === 'b' ? [n, k] : [k, n]),
  ];
  const attributes = { transpose_a: { bool: transposed === 'a' }, transpose_b: { bool: transposed === 'b' } };
  const ms = compare([
    call('tensorflow', 'MatMul', [a, b], { ...FLOAT, ...attributes }),
    call('own', 'LatheMatMul', [a, b], attributes),
  ]);
  tf.dispose([a, b]);
  return {
    operation: 'product',
    shape: `${m}x${k}x${n}${transposed && `, ${transposed} transposed`}`,
    gigaflop: (2 * m * k * n) / 1e9,
    ms,
  };
}

function print({ operation, shape, gigaflop, ms }: Row): void {
  const times = Object.entries(ms).map(
    ([name, time]) => `${name} ${time.toFixed(2)} ms (${Math.round((1000 * gigaflop) / time)})`,
  );
  console.log(`${operation.padEnd(27)}${shape.padEnd(40)}${times.join('   ')}`);
}

await startEngine('tensorflow');
const { kernels } = engine();
if (!kernels) throw new Error('The engine computes on a GPU, where its own kernels do not exist');
console.log(`kernels: ${kernels}; in brackets GFLOP/s`);
const rows: Row[] = [];
const add = (made: readonly Row[]): void => {
  made.forEach(print);
  rows.push(...made);
};
for (const shape of CONVS) add(convRows(shape));
for (const shape of DEPTHWISE) add(depthwiseRows(shape));
for (const shape of PRODUCTS) add([productRow(shape)]);
console.log(`\n${saveResult(`kernels-${kernels}`, { kernels, threads: engine().threads, rounds: ROUNDS, rows })}`);
