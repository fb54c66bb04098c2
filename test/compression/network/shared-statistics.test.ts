/**
 * Fresh BatchNormalizations whose ones and zeros an exporter stored once: what training changes is apart, and written
 * back apart.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { hostNumbers, toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model, Node } from '../../../src/compression/ir/types.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import type { Network } from '../../../src/compression/network/network.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { floats, modelOf, runInOnnxRuntime, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const CHANNELS = 3;
const PARTS = ['scale', 'shift', 'mean', 'variance'];
const constant = (name: string, of: number) => tensor(name, [CHANNELS], new Float32Array(CHANNELS).fill(of));

/**
 * x [n, 2, 4, 4] -> Conv -> BatchNormalization -> Relu -> Conv -> BatchNormalization -> y, with these names of the
 * constants of both normalizations.
 */
function network(
  first: readonly string[],
  second: readonly string[],
  constants: ReturnType<typeof constant>[],
  before: readonly Node[] = [],
): Model {
  return modelOf({
    nodes: [
      ...before,
      makeNode('Conv', ['x', 'k1'], ['c1']),
      makeNode('BatchNormalization', ['c1', ...first], ['b1']),
      makeNode('Relu', ['b1'], ['r1']),
      makeNode('Conv', ['r1', 'k2'], ['c2']),
      makeNode('BatchNormalization', ['c2', ...second], ['y']),
    ],
    initializers: [
      randomTensor('k1', [CHANNELS, 2, 1, 1], 1),
      randomTensor('k2', [CHANNELS, CHANNELS, 1, 1], 2),
      ...constants,
    ],
    inputs: [value('x', ['n', 2, 4, 4])],
    outputs: [value('y', null)],
  });
}

const apart = (...layers: string[]) =>
  layers.flatMap((layer) => PARTS.map((part, i) => constant(`${layer}.${part}`, i % 3 === 0 ? 1 : 0)));
const named = (layer: string) => PARTS.map((part) => `${layer}.${part}`);
/**
 * As PyTorch exports it: the first layer's scale and shift hold the values, the other names are given to them by
 * Identity.
 */
const aliased = network(
  named('l1'),
  named('l2'),
  [constant('l1.scale', 1), constant('l1.shift', 0)],
  [...named('l1').slice(2), ...named('l2')].map((name) =>
    makeNode('Identity', [/scale|variance/.test(name) ? 'l1.scale' : 'l1.shift'], [name]),
  ),
);
const renamed = network(
  ['ones', 'zeros', 'zeros', 'ones'],
  ['ones', 'zeros', 'zeros', 'ones'],
  [constant('ones', 1), constant('zeros', 0)],
);

const weightsOf = ({ parameters, state }: Network) => [...parameters, ...state];
/** A value of its own for each weight: positive, since variances are. */
const own = (index: number, dims: readonly number[]): number[] =>
  Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => 0.5 + ((index * 7 + i * 3) % 10) / 10);

async function outputsOf(model: Model): Promise<number[]> {
  return Array.from((await runInOnnxRuntime(model, { x: floats([2, 2, 4, 4]) })).get('y')!.data, Number);
}

describe.each([
  ['by Identity', aliased],
  ['under one name', renamed],
])('shared %s', (_, model) => {
  test('all weights are trained, and nothing is in the way', async () => {
    expect(await checkAgainstRuntime(writeOnnx(model), model)).toEqual({ trainable: true, untrainable: [] });
    const lowered = lowerOrThrow(model);
    expect(lowered.parameters.map(({ role }) => role).sort()).toEqual([
      'bias',
      'bias',
      'kernel',
      'kernel',
      'scale',
      'scale',
    ]);
    expect(lowered.state.map(({ role }) => role).sort()).toEqual([
      'running-mean',
      'running-mean',
      'running-variance',
      'running-variance',
    ]);
    lowered.dispose();
  });

  test('comes out as it was where nothing changed, and with the one weight more that did', async () => {
    const lowered = lowerOrThrow(model);
    expect(await lowered.toModel()).toBe(model);
    const variance = lowered.state.find(({ role }) => role === 'running-variance')!;
    variance.variable.assign(tf.fill([CHANNELS], 2));
    const { graph } = await lowered.toModel();
    lowered.dispose();
    expect([...graph.initializers.keys()]).toEqual([...model.graph.initializers.keys(), variance.name]);
    expect(hostNumbers(toHost(graph.initializers.get(variance.name)!))).toEqual([2, 2, 2]);
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(variance.name));
    expect(readers.map(({ inputs }) => inputs.indexOf(variance.name))).toEqual([4]);
  });

  test('each weight with its own value: as with separate constants, in onnxruntime, and loaded again', async () => {
    const lowered = lowerOrThrow(model);
    const reference = lowerOrThrow(network(named('l1'), named('l2'), apart('l1', 'l2')));
    for (const one of [lowered, reference]) {
      // within a role in the order of first use
      const order = [...weightsOf(one)].sort((a, b) => a.role.localeCompare(b.role));
      order.forEach(({ variable, dims }, i) => variable.assign(tf.tensor(own(i, dims), variable.shape)));
    }
    const [trained, expected] = [await lowered.toModel(), await reference.toModel()];
    expect(await outputsOf(trained)).toEqual(await outputsOf(expected));
    expect(await checkAgainstRuntime(writeOnnx(trained), trained)).toEqual({ trainable: true, untrainable: [] });
    const again = lowerOrThrow(model);
    again.load(trained);
    expect(weightsOf(again).map(({ variable }) => [...variable.dataSync()])).toEqual(
      weightsOf(lowered).map(({ variable }) => [...variable.dataSync()]),
    );
    for (const one of [lowered, reference, again]) one.dispose();
  });

  test('running statistics of both layers follow their own layer', () => {
    const lowered = lowerOrThrow(model);
    const x = tf.randomNormal([8, 2, 4, 4], 0, 1, 'float32', 3);
    tf.tidy(() => {
      const { stateUpdates } = lowered.run(new Map([['x', { kind: 'device', dtype: 'float32', tensor: x }]]), {
        training: true,
      });
      const updates = lowered.state.map(({ name }) => [...stateUpdates.get(name)!.dataSync()].join());
      expect(new Set(updates).size).toBe(4);
    });
    x.dispose();
    lowered.dispose();
  });
});

test('a layer applied twice keeps its weights tied, also where others share its constants', () => {
  const twice = lowerOrThrow(network(named('l1'), named('l1'), apart('l1')));
  expect([twice.parameters.length, twice.state.length]).toEqual([4, 2]);
  twice.dispose();
  const shared = lowerOrThrow(
    network(
      named('l1'),
      named('l1'),
      [constant('l1.scale', 1), constant('l1.shift', 0)],
      named('l1')
        .slice(2)
        .map((name) => makeNode('Identity', [name === 'l1.variance' ? 'l1.scale' : 'l1.shift'], [name])),
    ),
  );
  expect([shared.parameters.length, shared.state.length]).toEqual([4, 2]);
  shared.dispose();
});
