import { beforeAll, describe, expect, test } from 'vitest';
import { compileStep } from './compile.ts';
import { startEngine } from './engine.ts';
import * as nn from './nn.ts';
import { tf } from './tf.ts';
import type { TfTensor, TfVariable } from './tf.ts';

/** What tfjs differentiates. */
type Scalar = ReturnType<typeof tf.scalar>;

beforeAll(async () => {
  await startEngine('tensorflow');
});

/** A small convolutional network with batch normalization, its momentum step and its running mean. */
function network() {
  const random = (shape: number[], seed: number) => tf.variable(tf.randomNormal(shape, 0, 0.3, 'float32', seed));
  const weights = [random([3, 3, 2, 4], 1), random([4], 2), random([4], 3), random([36, 5], 4), random([5], 5)];
  const velocities = weights.map((weight) => tf.variable(tf.zerosLike(weight)));
  const runningMean = tf.variable(tf.zeros([4]));
  const step = ([x, y, rate, seed]: TfTensor[]) => {
    const loss = () => {
      const { y: normalized, mean } = nn.batchNormTraining(
        nn.conv(x!, weights[0]!, { pads: [1, 1, 1, 1] }),
        weights[1]!,
        weights[2]!,
        1e-3,
      );
      runningMean.assign(tf.add(tf.mul(runningMean, 0.9), tf.mul(mean, 0.1)));
      const kept = tf.cast(tf.less(nn.statelessUniform([x!.shape[0], 3, 3, 4], seed!, 1), 0.8), 'float32');
      const pooled = tf.mul(nn.maxPool(nn.relu(normalized), { kernel: [2, 2], strides: [2, 2] }), kept);
      return tf.mean<Scalar>(
        nn.softmaxCrossEntropy(nn.biasAdd(tf.matMul(tf.reshape(pooled, [-1, 36]), weights[3]!), weights[4]!), y!),
      );
    };
    const { value, grads } = tf.variableGrads(loss, weights);
    weights.forEach((weight, i) => {
      velocities[i]!.assign(tf.add(tf.mul(velocities[i]!, 0.9), grads[weight.name]!));
      weight.assign(tf.sub(weight, tf.mul(velocities[i]!, rate!)));
    });
    return [value as TfTensor];
  };
  return { variables: [...weights, ...velocities, runningMean], step };
}

function batch(size: number, seed: number): TfTensor[] {
  return [
    tf.randomNormal([size, 6, 6, 2], 0, 1, 'float32', seed),
    tf.cast(tf.oneHot(tf.randomUniform([size], 0, 5, 'int32', seed), 5), 'float32'),
    tf.scalar(0.1 / (1 + seed)),
    tf.tensor1d([seed, 7], 'int32'),
  ];
}

const values = (variables: readonly TfVariable[]) => variables.map((variable) => Array.from(variable.dataSync()));

/**
 * What is fused where it is compiled: products with a bias, reshaped between and not, with ReLU and without; a
 * convolution with a bias.
 */
function fusedNetwork() {
  const random = (shape: number[], seed: number) => tf.variable(tf.randomNormal(shape, 0, 0.3, 'float32', seed));
  const weights = [
    random([3, 3, 2, 5], 1),
    random([5], 2),
    random([80, 12], 3),
    random([12], 4),
    random([4, 6], 5),
    random([6], 6),
    random([18, 5], 7),
    random([5], 8),
  ];
  const [kernel, b0, w1, b1, w2, b2, w3, b3] = weights as [
    TfVariable,
    TfVariable,
    TfVariable,
    TfVariable,
    TfVariable,
    TfVariable,
    TfVariable,
    TfVariable,
  ];
  const step = ([x, y, rate]: TfTensor[]) => {
    const { value, grads } = tf.variableGrads(() => {
      const convolved = nn.biasAdd(nn.conv(x!, kernel, {}), b0);
      const first = nn.relu(nn.biasAdd(nn.matMul(tf.reshape(convolved, [-1, 80]), w1), b1));
      const tokens = nn.relu(nn.biasAdd(tf.reshape(nn.matMul(tf.reshape(first, [-1, 4]), w2), [-1, 3, 6]), b2));
      return tf.mean<Scalar>(nn.softmaxCrossEntropy(nn.biasAdd(nn.matMul(tf.reshape(tokens, [-1, 18]), w3), b3), y!));
    }, weights);
    for (const weight of weights) weight.assign(tf.sub(weight, tf.mul(grads[weight.name]!, rate!)));
    return [value as TfTensor];
  };
  return { variables: weights, step };
}

describe('a compiled step', () => {
  test('computes products with what follows them, bit for bit as the eager step', () => {
    const [eager, fast] = [fusedNetwork(), fusedNetwork()];
    const compiled = compileStep({ inputs: batch(8, 0).slice(0, 3), variables: fast.variables, step: fast.step });
    for (let i = 0; i < 6; i++) {
      const inputs = batch(8, i);
      const [expected] = tf.tidy(() => eager.step(inputs));
      const [actual] = compiled.run(inputs.slice(0, 3));
      expect(actual!.dataSync()).toEqual(expected!.dataSync());
      tf.dispose([expected!, actual!, ...inputs]);
    }
    expect(values(fast.variables)).toEqual(values(eager.variables));
    expect(compiled.status()).toEqual({ compiled: 1, eager: [] });
    compiled.dispose();
  });

  test('gives bit for bit what the eager step gives, over changing inputs and shapes', () => {
    const [eager, fast] = [network(), network()];
    const compiled = compileStep({ inputs: batch(8, 0), variables: fast.variables, step: fast.step });
    for (let i = 0; i < 12; i++) {
      const inputs = batch(i % 4 === 3 ? 5 : 8, i);
      const [expected] = tf.tidy(() => eager.step(inputs));
      const [actual] = compiled.run(inputs);
      expect(actual!.dataSync()).toEqual(expected!.dataSync());
      tf.dispose([expected!, actual!, ...inputs]);
    }
    expect(values(fast.variables)).toEqual(values(eager.variables));
    expect(compiled.status()).toEqual({ compiled: 2, eager: [] });
    compiled.dispose();
    tf.dispose([...eager.variables, ...fast.variables]);
  });

  test('split into gradients and update gives the same weights as the whole', () => {
    const [x, target] = [tf.randomNormal([16, 3]), tf.randomNormal([16, 1])];
    const [whole, split] = [tf.variable(tf.ones([3, 1])), tf.variable(tf.ones([3, 1]))];
    const loss = (weight: TfVariable) => tf.losses.meanSquaredError(target, tf.matMul(x, weight as never));
    const gradientOf = (weight: TfVariable) =>
      tf.variableGrads(() => loss(weight) as never, [weight]).grads[weight.name]!;
    const update = (weight: TfVariable, gradient: TfTensor) => weight.assign(tf.sub(weight, tf.mul(gradient, 0.1)));
    const all = compileStep({ inputs: [], variables: [whole], step: () => (update(whole, gradientOf(whole)), []) });
    const gradients = compileStep({ inputs: [], variables: [split], step: () => [gradientOf(split)] });
    const apply = compileStep({
      inputs: [tf.zeros([3, 1])],
      variables: [split],
      step: ([gradient]) => (update(split, gradient!), []),
    });
    for (let i = 0; i < 6; i++) {
      all.run([]);
      apply.run(gradients.run([]));
    }
    expect(split.dataSync()).toEqual(whole.dataSync());
    expect([all, gradients, apply].map((step) => step.status().compiled)).toEqual([1, 1, 1]);
  });

  test('sees assignments from outside, and keeps what others hold of a variable', () => {
    const weight = tf.variable(tf.scalar(1));
    const step = compileStep({
      inputs: [tf.scalar(0)],
      variables: [weight],
      step: ([x]) => {
        weight.assign(tf.add(weight, x!));
        return [tf.mul(weight, 1)];
      },
    });
    for (let i = 0; i < 4; i++) step.run([tf.scalar(1)]);
    const snapshot = weight.clone();
    step.run([tf.scalar(1)]);
    expect([snapshot.dataSync()[0], weight.dataSync()[0]]).toEqual([5, 6]);
    weight.assign(tf.scalar(100));
    expect(step.run([tf.scalar(1)])[0]!.dataSync()[0]).toBe(101);
    expect(step.status().compiled).toBe(1);
  });

  test('two inputs that were one tensor while recording may differ later', () => {
    const step = compileStep({
      inputs: [tf.scalar(0), tf.scalar(0)],
      variables: [],
      step: ([a, b]) => [tf.sub(a!, tf.mul(b!, 2))],
    });
    const same = tf.scalar(3);
    for (let i = 0; i < 3; i++) step.run([same, same]);
    expect(step.status().compiled).toBe(1);
    expect(step.run([tf.scalar(10), tf.scalar(4)])[0]!.dataSync()[0]).toBe(2);
  });

  test('reads variables that were not listed', () => {
    const hidden = tf.variable(tf.scalar(2));
    const step = compileStep({ inputs: [tf.scalar(0)], variables: [], step: ([x]) => [tf.mul(x!, hidden)] });
    for (let i = 0; i < 3; i++) step.run([tf.scalar(1)]);
    hidden.assign(tf.scalar(5));
    expect(step.run([tf.scalar(3)])[0]!.dataSync()[0]).toBe(15);
    expect(step.status().compiled).toBe(1);
  });

  test('stays eager and right where a constant changes or values are read', () => {
    let calls = 0;
    const counting = compileStep({
      inputs: [tf.scalar(0)],
      variables: [],
      step: ([x]) => [tf.add(x!, tf.tensor1d([++calls]))],
    });
    for (let i = 1; i <= 6; i++) expect(counting.run([tf.scalar(0)])[0]!.dataSync()[0]).toBe(i);
    expect(counting.status().eager[0]!.reason).toMatch(/changed from run to run; it feeds Add/);
    const reading = compileStep({
      inputs: [tf.scalar(0)],
      variables: [],
      step: ([x]) => [tf.scalar(x!.dataSync()[0]! > 0 ? 1 : -1)],
    });
    expect([1, 1, 1, -1].map((x) => reading.run([tf.scalar(x)])[0]!.dataSync()[0])).toEqual([1, 1, 1, -1]);
    expect(reading.status().eager[0]!.reason).toMatch(/reads the values/);
  });

  test('refuses a wrong number of inputs and a run after disposal', () => {
    const step = compileStep({ inputs: [tf.scalar(0)], variables: [], step: ([x]) => [tf.neg(x!)] });
    expect(() => step.run([])).toThrow('The step takes 1 inputs; 0 were given');
    step.dispose();
    expect(() => step.run([tf.scalar(1)])).toThrow('disposed');
  });

  test('100 steps leave no tensor behind, 2000 no memory', () => {
    const { variables, step } = network();
    const inputs = batch(8, 1);
    const compiled = compileStep({ inputs, variables, step });
    const once = () => tf.dispose(compiled.run(inputs));
    for (let i = 0; i < 3; i++) once();
    const [tensors, handles] = [tf.memory().numTensors, nativeTensors()];
    for (let i = 0; i < 300; i++) once();
    const rss = process.memoryUsage.rss();
    for (let i = 0; i < 1700; i++) once();
    expect([tf.memory().numTensors, nativeTensors()]).toEqual([tensors, handles]);
    expect(process.memoryUsage.rss() - rss).toBeLessThan(24e6);
  });
});

function nativeTensors(): number {
  return (tf.backend() as unknown as { binding: { getNumOfTensors(): number } }).binding.getNumOfTensors();
}
