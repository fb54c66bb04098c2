/** Losses, random operators and integers on the device: what needs more than a list of cases. */
import { describe, expect, test } from 'vitest';
import { makeNode, type AttributeValue } from '../../../src/compression/ir/edit.ts';
import { hostOf } from '../../../src/compression/ir/tensor-data.ts';
import type { DataType, Node } from '../../../src/compression/ir/types.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import type { HostTensor } from '../../../src/compression/ir/host-tensor.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { download, upload } from '../../../src/compression/operators/transfer.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../../src/compression/tensor/tf.ts';
import { modelOf, value } from '../graphs.ts';

const [N, C, D] = [3, 4, 2];
const LABELS = [0, 3, 1, 1, 2, -1]; // [N, D]; -1 is ignored
const WEIGHTS = [0.5, 2, 1, 1.5];
const SCORES = Array.from({ length: N * C * D }, (_, i) => Math.sin(2.3 * i) * 2);

/** The loss in double precision, straight from its definition. */
function reference(scores: readonly number[], softmax: boolean, reduction: string): number {
  let [total, mass] = [0, 0];
  for (let n = 0; n < N; n++)
    for (let d = 0; d < D; d++) {
      const label = LABELS[n * D + d]!;
      if (label < 0) continue;
      const at = (c: number): number => scores[(n * C + c) * D + d]!;
      const log = softmax ? Math.log(Array.from({ length: C }, (_, c) => Math.exp(at(c))).reduce((a, b) => a + b)) : 0;
      total -= WEIGHTS[label]! * (at(label) - log);
      mass += WEIGHTS[label]!;
    }
  return reduction === 'mean' ? total / mass : total;
}

function lossModel(type: string, reduction: string) {
  return lowerOrThrow(
    modelOf({
      nodes: [makeNode(type, ['scores', 'labels', 'weights'], ['loss'], { reduction, ignore_index: -1 })],
      inputs: [value('scores', [N, C, D]), value('labels', [N, D], 'int64'), value('weights', [C])],
      outputs: [value('loss', null)],
    }),
  );
}

export function describeLosses(): void {
  describe.each([
    ['NegativeLogLikelihoodLoss', false],
    ['SoftmaxCrossEntropyLoss', true],
  ] as const)('%s', (type, softmax) => {
    test.each(['mean', 'sum', 'none'])('by %s: value and gradient', (reduction) => {
      const network = lossModel(type, reduction);
      tf.tidy(() => {
        const rest: [string, Value][] = [
          ['labels', { kind: 'host', value: hostOf('int64', [N, D], LABELS) }],
          ['weights', device(hostOf('float32', [C], WEIGHTS))],
        ];
        const loss = (scores: TfTensor): TfTensor => {
          const out = network
            .run(new Map([['scores', { kind: 'device', dtype: 'float32', tensor: scores }], ...rest]), {
              training: false,
            })
            .outputs.get('loss')!;
          return tf.sum((out as Extract<Value, { kind: 'device' }>).tensor);
        };
        const scores = tf.tensor(SCORES, [N, C, D]);
        expect(loss(scores).dataSync()[0]).toBeCloseTo(reference(SCORES, softmax, reduction), 5);
        const gradient = tf
          .grad(loss as never)(scores)
          .dataSync();
        SCORES.forEach((_, i) => {
          const moved = (by: number): number =>
            reference(
              SCORES.map((s, k) => (k === i ? s + by : s)),
              softmax,
              reduction,
            );
          expect(gradient[i]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 5);
        });
      });
      network.dispose();
    });
  });
}

function device(host: HostTensor): Value {
  return { kind: 'device', dtype: host.dtype, tensor: upload(host) };
}

/** Runs nodes without inputs, or with the given ones on the device, and reads the last node's output. */
function draw(
  nodes: readonly Node[],
  seed: readonly [number, number],
  feeds: Readonly<Record<string, HostTensor>> = {},
): Float64Array {
  const network = lowerOrThrow(
    modelOf({
      nodes,
      inputs: Object.entries(feeds).map(([name, { dims, dtype }]) => value(name, dims, dtype)),
      outputs: [value('y', null, 'undefined')],
    }),
  );
  let drawn = new Float64Array(0);
  tf.tidy(() => {
    const { outputs } = network.run(new Map(Object.entries(feeds).map(([name, host]) => [name, device(host)])), {
      training: false,
      seed: tf.tensor1d([...seed], 'int32'),
    });
    const y = outputs.get('y')!;
    drawn = Float64Array.from(
      (y.kind === 'host' ? y.value : download(y.tensor, y.dtype)).data as ArrayLike<number | bigint>,
      Number,
    );
  });
  network.dispose();
  return drawn;
}

function moments(values: Float64Array): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
}

const COUNT = 20_000;
/** Five standard errors of the mean of so many draws. */
const SPREAD = 5 / Math.sqrt(COUNT);

export function describeRandom(): void {
  const node = (type: string, inputs: readonly string[], attributes: Record<string, AttributeValue>): Node =>
    makeNode(type, inputs, ['y'], attributes);
  test('RandomNormal has its mean and deviation', () => {
    const { mean, deviation } = moments(
      draw([node('RandomNormal', [], { shape: [COUNT], mean: { float: 3 }, scale: { float: 2 } })], [1, 2]),
    );
    expect(Math.abs(mean - 3)).toBeLessThan(2 * SPREAD);
    expect(Math.abs(deviation - 2)).toBeLessThan(2 * SPREAD);
  });
  test('RandomUniformLike keeps to its bounds, and to its seed', () => {
    const like = { x: hostOf('float32', [COUNT], new Float32Array(COUNT)) };
    const run = (seed: readonly [number, number]) =>
      draw([node('RandomUniformLike', ['x'], { low: { float: -1 }, high: { float: 2 } })], seed, like);
    const first = run([1, 2]);
    expect(Math.min(...first)).toBeGreaterThanOrEqual(-1);
    expect(Math.max(...first)).toBeLessThan(2);
    expect(Math.abs(moments(first).mean - 0.5)).toBeLessThan(SPREAD);
    expect(run([1, 2])).toEqual(first);
    expect(run([1, 3])).not.toEqual(first);
  });
  test('Bernoulli and Multinomial draw with their probabilities', () => {
    const bernoulli = draw([node('Bernoulli', ['p'], {})], [5, 6], {
      p: hostOf('float32', [COUNT], new Float32Array(COUNT).fill(0.3)),
    });
    expect(Math.abs(moments(bernoulli).mean - 0.3)).toBeLessThan(SPREAD);
    const classes = draw([node('Multinomial', ['logits'], { sample_size: COUNT })], [5, 6], {
      logits: hostOf('float32', [1, 3], [0.2, 0.5, 0.3].map(Math.log)),
    });
    [0.2, 0.5, 0.3].forEach((p, k) =>
      expect(Math.abs(classes.filter((c) => c === k).length / COUNT - p)).toBeLessThan(SPREAD),
    );
  });
}

/** Casts to a type, multiplies there by itself, casts back: on values that come from the device. */
function squareIn(dtype: DataType, to: number, values: readonly number[]): Float64Array {
  return draw(
    [
      makeNode('Cast', ['x'], ['n'], { to }),
      makeNode('Mul', ['n', 'n'], ['m'], {}),
      makeNode('Cast', ['m'], ['y'], { to: 11 }),
    ],
    [0, 0],
    { x: hostOf('float32', [values.length], values) },
  );
}

export function describeIntegers(): void {
  test.each<[DataType, number, number[], number[]]>([
    ['int64', 7, [100_000, -3_000_000], [1e10, 9e12]],
    ['int32', 6, [65_536, 50_000], [0, 2_500_000_000 - 2 ** 32]],
    ['uint8', 2, [16, 20], [0, 144]],
    ['int8', 3, [12, -11], [-112, 121]],
  ])('%s from the device is computed in its own width', (dtype, to, values, squares) => {
    expect([...squareIn(dtype, to, values)]).toEqual(squares);
  });
}
