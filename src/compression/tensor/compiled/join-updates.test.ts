import { beforeAll, describe, expect, test } from 'vitest';
import { compileStep } from '../compile.ts';
import { startEngine } from '../engine.ts';
import { adamUpdate, momentumUpdate } from '../optimizer-kernels.ts';
import { tf } from '../tf.ts';
import type { TfTensor, TfVariable } from '../tf.ts';
import { joinUpdates } from './join-updates.ts';
import type { Program, ProgramOp } from './program.ts';

beforeAll(async () => {
  await startEngine('tensorflow');
});

const op = (name: string, inputs: readonly string[], shapes: readonly (readonly number[])[]): ProgramOp => ({
  name,
  attributes: [],
  inputs,
  outputs: shapes.map(() => 1),
  shapes,
});
const momentum = (index: number, shape: readonly number[]): ProgramOp =>
  op('LatheMomentum', [`v${index}`, `v${index + 10}`, `n${index}:0`, 'i0'], [shape, shape]);

function program(ops: Readonly<Record<string, ProgramOp>>, updates: Readonly<Record<string, string>>): Program {
  return {
    ops: new Map(Object.entries(ops)),
    constants: new Map(),
    results: [],
    updates: new Map(Object.entries(updates)),
  };
}

describe('what is joined', () => {
  test('small parameters, kind by kind; large ones stay apart', () => {
    const joined = joinUpdates(
      program(
        { n5: momentum(1, [3]), n6: momentum(2, [300, 300]), n7: momentum(3, [2, 2]) },
        { v1: 'n5:0', v11: 'n5:1', v2: 'n6:0', v3: 'n7:0', v13: 'n7:1' },
      ),
    );
    expect([...joined.ops].map(([node, { name, inputs }]) => [node, name, inputs.join(' ')])).toEqual([
      ['n6', 'LatheMomentum', 'v2 v12 n2:0 i0'],
      ['n5', 'LatheMultiMomentum', 'v1 v3 v11 v13 n1:0 n3:0 i0'],
    ]);
    expect(Object.fromEntries(joined.updates)).toEqual({
      v1: 'n5:0',
      v11: 'n5:2',
      v2: 'n6:0',
      v3: 'n5:1',
      v13: 'n5:3',
    });
    expect(joined.ops.get('n5')!.attributes).toMatchObject([{ name: 'count', value: 2 }]);
  });
  test('not what another operation reads, nor one alone', () => {
    const read = program(
      { n5: momentum(1, [3]), n6: momentum(2, [3]), n7: op('Neg', ['n5:0'], [[3]]) },
      { v1: 'n7:0', v2: 'n6:0' },
    );
    expect(joinUpdates(read)).toEqual(read);
  });
});

const SHAPES = [[7], [3, 5], [200, 400], [], [70, 300]];

/** One update of every parameter; two settings, so that two groups are made. */
function step(kind: 'momentum' | 'adam') {
  const [weights, first, second] = [1, 2, 3].map((seed) =>
    SHAPES.map((shape, i) => tf.variable(tf.randomUniform(shape, 0.1, 1, 'float32', seed + 10 * i))),
  ) as [TfVariable[], TfVariable[], TfVariable[]];
  const run = ([rate]: TfTensor[]): TfTensor[] => {
    weights.forEach((weight, i) => {
      const [gradient, decay] = [tf.mul(weight, 0.5), i % 2 === 0 ? 0.01 : 0];
      if (kind === 'momentum') {
        const state = { weight, velocity: first[i]!, gradient, rate: rate! };
        const next = momentumUpdate(state, { momentum: 0.9, nesterov: true, decay });
        weight.assign(next.weight);
        first[i]!.assign(next.velocity);
      } else {
        const state = { weight, mean: first[i]!, square: second[i]!, gradient, rate: rate!, root: rate!, keep: rate! };
        const next = adamUpdate(state, { beta1: 0.9, beta2: 0.99, epsilon: 1e-3, decay });
        weight.assign(next.weight);
        first[i]!.assign(next.mean);
        second[i]!.assign(next.square);
      }
    });
    return [];
  };
  return { variables: [...weights, ...first, ...second], run };
}

test.each(['momentum', 'adam'] as const)('compiled updates by %s are those of the eager step, bit by bit', (kind) => {
  const [eager, compiled] = [step(kind), step(kind)];
  const rates = [0.9, 0.8, 0.7, 0.6].map((rate) => tf.scalar(rate));
  const compiledStep = compileStep({ inputs: [rates[0]!], variables: compiled.variables, step: compiled.run });
  for (const rate of rates) {
    tf.tidy(() => eager.run([rate]));
    compiledStep.run([rate]);
  }
  expect(compiledStep.status()).toEqual({ compiled: 1, eager: [] });
  const values = ({ variables }: { variables: readonly TfVariable[] }) =>
    variables.map((variable) => Array.from(variable.dataSync()));
  expect(values(compiled)).toEqual(values(eager));
  compiledStep.dispose();
  tf.dispose([...eager.variables, ...compiled.variables, ...rates]);
});
