/**
 * Rounding is told from a wrong operator: ill-conditioned models are trainable, models computed differently are not.
 */
import { beforeAll, expect, test } from 'vitest';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import type { Model, Node } from '../ir/types.ts';
import { startEngine } from '../tensor/engine.ts';
import { modelOf, spread, tensor, value } from '../../../test/support/graphs.ts';
import { checkAgainstRuntime } from './agreement.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

/** x [n, 64] -> product with weights times the factor -> + shift -> the tail's nodes -> y. */
function model(shift: number, tail: readonly Node[], factor = 1): Model {
  return modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['p']), makeNode('Add', ['p', 'shift'], ['h']), ...tail],
    initializers: [
      tensor(
        'w',
        [64, 32],
        spread(64 * 32).map((weight) => weight * factor),
      ),
      tensor('shift', [32], new Float32Array(32).fill(shift)),
    ],
    inputs: [value('x', ['n', 64])],
    outputs: [value('y', null)],
  });
}

/** The variance as jax's LayerNorm computes it: E[h^2] - E[h]^2, which cancels where h lies far from zero. */
const VARIANCE = [
  makeNode('Mul', ['h', 'h'], ['squares']),
  makeNode('ReduceMean', ['squares'], ['second'], { axes: [1], keepdims: 1 }),
  makeNode('ReduceMean', ['h'], ['mean'], { axes: [1], keepdims: 1 }),
  makeNode('Mul', ['mean', 'mean'], ['meanSquared']),
  makeNode('Sub', ['second', 'meanSquared'], ['y']),
];

test('a variance that cancels is no reason against training', async () => {
  const given = model(300, VARIANCE);
  expect(await checkAgainstRuntime(writeOnnx(given), given)).toEqual({ trainable: true, untrainable: [] });
});

test('nor are probabilities that are nearly zero', async () => {
  const given = model(-16, [makeNode('Sigmoid', ['h'], ['y'])]);
  expect(await checkAgainstRuntime(writeOnnx(given), given)).toEqual({ trainable: true, untrainable: [] });
});

test('nor are the numbers of a model in half floats, which the runtime rounds and the engine does not', async () => {
  const half = (name: string, dims: readonly number[]) =>
    tensor(name, dims, spread(dims.reduce((a, b) => a * b, 1)), 'float16');
  const given = modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'w1'], ['h']),
      makeNode('Tanh', ['h'], ['t']),
      makeNode('MatMul', ['t', 'w2'], ['y']),
    ],
    initializers: [half('w1', [64, 32]), half('w2', [32, 8])],
    inputs: [value('x', ['n', 64], 'float16')],
    outputs: [value('y', ['n', 8], 'float16')],
  });
  expect(await checkAgainstRuntime(writeOnnx(given), given)).toEqual({ trainable: true, untrainable: [] });
});

/**
 * x [n, 16000] -> frames of 1000, whose transform onnxruntime rounds by up to 1.9e-4 -> power in each band -> logarithm
 * -> product with weights.
 */
function spectrogram(factor = 1, frame = 1000): Model {
  const hann = Float32Array.from({ length: frame }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / frame));
  const bands = frame / 2 + 1;
  return modelOf({
    nodes: [
      makeNode('STFT', ['x', 'step', 'window', 'length'], ['s'], { onesided: 1 }),
      makeNode('Mul', ['s', 's'], ['squares']),
      makeNode('ReduceSum', ['squares', 'last'], ['power'], { keepdims: 0 }),
      makeNode('Log', ['power'], ['l']),
      makeNode('MatMul', ['l', 'w'], ['h']),
      makeNode('Identity', ['l'], ['y']),
    ],
    initializers: [
      tensor('step', [], [160], 'int64'),
      tensor('window', [frame], hann),
      tensor('length', [], [frame], 'int64'),
      tensor('last', [1], [-1], 'int64'),
      tensor(
        'w',
        [bands, 4],
        spread(bands * 4).map((weight) => weight * factor),
      ),
    ],
    inputs: [value('x', ['n', 16000])],
    outputs: [value('y', null), value('h', null)],
  });
}

test('nor are the logarithms of a transform that the runtime rounds more than it does sums', async () => {
  const given = spectrogram();
  expect(await checkAgainstRuntime(writeOnnx(given), given)).toEqual({ trainable: true, untrainable: [] });
});

test.each([
  ['a well-conditioned model', 0, [makeNode('Tanh', ['h'], ['y'])], 1.001],
  ['one that cancels', 300, VARIANCE, 1.1],
] as const)(
  '%s that the engine computes with other weights than the runtime is refused',
  async (_, shift, tail, factor) => {
    const { trainable, untrainable } = await checkAgainstRuntime(
      writeOnnx(model(shift, tail)),
      model(shift, tail, factor),
    );
    expect(trainable).toBe(false);
    expect(untrainable[0]!.reason).toMatch(/differs from onnxruntime/);
  },
);

test('neither is one with such a transform', async () => {
  const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(spectrogram()), spectrogram(1.01));
  expect(trainable).toBe(false);
  expect(untrainable[0]!.reason).toMatch(/differs from onnxruntime/);
});
