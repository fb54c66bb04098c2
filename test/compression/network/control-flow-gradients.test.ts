/**
 * Gradients through If, Loop and Scan, of weights that their bodies take from outside, against differences of the
 * network's own output.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import type { Graph, Model, Node, ValueInfo } from '../../../src/compression/ir/types.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import type { Network } from '../../../src/compression/network/network.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf, type TfTensor, type TfVariable } from '../../../src/compression/tensor/tf.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const STEP = 2e-2;
/** Tolerance for rounding in differences of float32 forward passes at these steps. */
const TOLERANCE = 2e-3;

function body(
  inputs: readonly ValueInfo[],
  nodes: readonly Node[],
  outputs: readonly ValueInfo[],
): { kind: 'graph'; value: Graph } {
  return { kind: 'graph', value: { name: 'body', nodes, initializers: new Map(), inputs, outputs, valueInfos: [] } };
}
const float = (name: string) => value(name, null);

const network = (model: Model): Network => lowerOrThrow(model);
const feed = (x: readonly number[], shape: readonly number[]): ReadonlyMap<string, Value> =>
  new Map([['x', { kind: 'device', dtype: 'float32', tensor: tf.tensor([...x], [...shape]) }]]);

/** sum(outputs * fixed numbers) */
function objective(net: Network, feeds: ReadonlyMap<string, Value>): TfTensor {
  const { outputs } = net.run(feeds, { training: false });
  return tf.addN(
    [...outputs.values()].map((result) => {
      const y =
        result.kind === 'device'
          ? result.tensor
          : tf.tensor(Float32Array.from(result.value.data as Float32Array), [...result.value.dims]);
      return tf.sum(tf.mul(y, tf.tensor(spread(y.size, 3), y.shape)));
    }),
  );
}

/** The objective's slope in a direction of one weight: differences at two steps, extrapolated to none. */
function slope(net: Network, feeds: ReadonlyMap<string, Value>, variable: TfVariable, direction: TfTensor): number {
  const start = variable.clone();
  const at = (step: number): number =>
    tf.tidy(() => {
      variable.assign(tf.add(start, tf.mul(direction, step)));
      return objective(net, feeds).dataSync()[0]!;
    });
  const central = (step: number): number => (at(step) - at(-step)) / (2 * step);
  const found = (4 * central(STEP / 2) - central(STEP)) / 3;
  variable.assign(start);
  return found;
}

/** Checks every weight; those not in `moving` have a gradient of zero. */
function check(model: Model, x: readonly number[], shape: readonly number[], moving: readonly string[]): void {
  const net = network(model);
  const feeds = feed(x, shape);
  const { grads } = tf.variableGrads(() => objective(net, feeds) as never);
  expect(net.frozen).toEqual([]);
  for (const { name, variable } of net.parameters) {
    const gradient = grads[variable.name] as TfTensor | null | undefined;
    const direction = tf.tensor(spread(variable.size, 5), variable.shape);
    const actual = gradient ? tf.sum(tf.mul(gradient, direction)).dataSync()[0]! : 0;
    const expected = slope(net, feeds, variable, direction);
    expect(
      Math.abs(actual - expected) / Math.max(Math.abs(expected), 0.1),
      `${name}: ${actual} should be ${expected}`,
    ).toBeLessThan(TOLERANCE);
    if (moving.includes(name)) expect(Math.abs(expected), name).toBeGreaterThan(0.01);
    else expect(actual, name).toBe(0);
  }
  expect(net.parameters.map(({ name }) => name)).toEqual(expect.arrayContaining([...moving]));
  net.dispose();
}

const X = spread(8, 2);

describe('If', () => {
  const model = modelOf({
    nodes: [
      node('ReduceSum', ['x'], ['sum'], { keepdims: 0 }),
      node('Greater', ['sum', 'zero'], ['positive']),
      node('MatMul', ['x', 'before'], ['h']),
      node('If', ['positive'], ['z'], {
        then_branch: body([], [node('MatMul', ['h', 'yes'], ['a']), node('Tanh', ['a'], ['b'])], [float('b')]),
        else_branch: body([], [node('MatMul', ['h', 'no'], ['c'])], [float('c')]),
      }),
      node('MatMul', ['z', 'after'], ['y']),
    ],
    initializers: [
      randomTensor('before', [4, 3], 1),
      randomTensor('yes', [3, 3], 2),
      randomTensor('no', [3, 3], 3),
      randomTensor('after', [3, 2], 4),
      tensor('zero', [], [0]),
    ],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
  });
  // The weights of both branches reach the output for some input, and are found; only the taken one's move it.
  test.each([
    ['yes', 1],
    ['no', -1],
  ] as const)('the branch "%s" that is taken', (taken, sign) => {
    check(
      model,
      Array.from(X, (v) => sign * (Math.abs(v) + 0.1)),
      [2, 4],
      ['before', taken, 'after'],
    );
  });
});

const recurrent = (nodes: readonly Node[] = [node('Tanh', ['sum'], ['next'])]) =>
  body(
    [float('state'), float('row')],
    [
      node('MatMul', ['row', 'input_weight'], ['in']),
      node('MatMul', ['state', 'state_weight'], ['back']),
      node('Add', ['in', 'back'], ['sum']),
      ...nodes,
      node('Identity', ['next'], ['seen']),
    ],
    [float('next'), float('seen')],
  );

const scanModel = (nodes?: readonly Node[]) =>
  modelOf({
    nodes: [
      node('ReduceMean', ['x'], ['mean'], { axes: [0], keepdims: 0 }),
      node('MatMul', ['mean', 'start_weight'], ['first']),
      node('Scan', ['first', 'x'], ['last', 'y'], { num_scan_inputs: 1, body: recurrent(nodes) }, { name: 'scan' }),
    ],
    initializers: [
      randomTensor('input_weight', [4, 3], 1),
      randomTensor('state_weight', [3, 3], 2),
      randomTensor('start_weight', [4, 3], 3),
    ],
    inputs: [value('x', ['t', 4])],
    outputs: [value('last', null), value('y', null)],
  });

test('Scan: a recurrence over rows, through its state and its outputs', () => {
  check(scanModel(), Array.from(spread(20, 4)), [5, 4], ['input_weight', 'state_weight', 'start_weight']);
});

const loopModel = (work: readonly Node[]) =>
  modelOf({
    nodes: [
      node('MatMul', ['x', 'w'], ['g']),
      node(
        'Loop',
        ['trips', '', 'g'],
        ['end', 'all'],
        {
          body: body(
            [value('i', [], 'int64'), value('c', [], 'bool'), float('v')],
            [
              node('MatMul', ['v', 'u'], ['p']),
              ...work,
              node('Identity', ['c'], ['on']),
              node('Identity', ['q'], ['copy']),
            ],
            [value('on', [], 'bool'), float('q'), float('copy')],
          ),
        },
        { name: 'loop' },
      ),
    ],
    initializers: [randomTensor('w', [4, 3], 1), randomTensor('u', [3, 3], 2), tensor('trips', [], [4], 'int64')],
    inputs: [value('x', ['n', 4])],
    outputs: [value('end', null), value('all', null)],
  });

test('Loop: a power of a matrix, through what is carried and what is gathered', () => {
  check(loopModel([node('Tanh', ['p'], ['q'])]), Array.from(X), [2, 4], ['w', 'u']);
});

describe('an operator without a gradient in a body is in the way of what lies before it', () => {
  test('in a Scan', () => {
    const net = network(scanModel([node('Sign', ['sum'], ['next'])]));
    expect(net.parameters).toEqual([]);
    expect(net.frozen.map(({ parameter, node: at }) => `${parameter} ${at}`).sort()).toEqual([
      'input_weight node "next" (Sign)',
      'start_weight node "next" (Sign)',
      'state_weight node "next" (Sign)',
    ]);
    net.dispose();
  });

  test('in a Loop, where only the next round meets it', () => {
    // (v, s) becomes (tanh(v u), sign(v)), and s alone is read: u is before Sign because v is carried on.
    const net = network(
      modelOf({
        nodes: [
          node('MatMul', ['x', 'w'], ['g']),
          node(
            'Loop',
            ['trips', '', 'g', 'g'],
            ['', 'y'],
            {
              body: body(
                [value('i', [], 'int64'), value('c', [], 'bool'), float('v'), float('s')],
                [
                  node('MatMul', ['v', 'u'], ['p']),
                  node('Tanh', ['p'], ['q']),
                  node('Sign', ['v'], ['sign']),
                  node('Identity', ['c'], ['on']),
                ],
                [value('on', [], 'bool'), float('q'), float('sign')],
              ),
            },
            { name: 'loop' },
          ),
        ],
        initializers: [randomTensor('w', [4, 3], 1), randomTensor('u', [3, 3], 2), tensor('trips', [], [4], 'int64')],
        inputs: [value('x', ['n', 4])],
        outputs: [value('y', null)],
      }),
    );
    expect(net.parameters).toEqual([]);
    expect(net.frozen.map(({ parameter, node: at }) => `${parameter} ${at}`).sort()).toEqual([
      'u node "sign" (Sign)',
      'w node "sign" (Sign)',
    ]);
    net.dispose();
  });
});
