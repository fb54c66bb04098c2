/**
 * Models that fix their batch, on splits that do not fill it: the same losses, metrics and weights as with an open
 * batch.
 */
import { beforeAll, describe, expect, test } from 'vitest';
import { hostNumbers, toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { apply as distill } from '../../../src/compression/techniques/distill/apply.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { clouds, perceptron } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const FIXED = 16;

/** The model with a constant batch in its file. */
function fixed(model: Model, batch = FIXED): Model {
  const ofBatch = (values: Model['graph']['inputs']) =>
    values.map((item) => ({ ...item, type: { ...item.type!, shape: [batch, ...item.type!.shape!.slice(1)] } }));
  return {
    ...model,
    graph: { ...model.graph, inputs: ofBatch(model.graph.inputs), outputs: ofBatch(model.graph.outputs) },
  };
}

const weightsOf = ({ graph }: Model): number[] =>
  [...graph.initializers.values()].flatMap((tensor) => hostNumbers(toHost(tensor)));
const figuresOf = (context: TestContext): number[] =>
  context.progress.filter(({ endOfEpoch }) => endOfEpoch).flatMap(({ metrics }) => Object.values(metrics!));

/** Float32 sums of 16 terms instead of some ten, over a few steps. */
function expectClose(got: readonly number[], want: readonly number[]): void {
  expect(got).toHaveLength(want.length);
  got.forEach((value, i) => expect(Math.abs(value - want[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(want[i]!))));
}

// 18 samples: 14 to train with, 2 to validate, 2 to test: none fills a batch.
const few = (labelled = true) => clouds({ samples: 18, classes: 2, labelled });

test.each([
  ['retrain', true],
  ['distill', true],
  ['distill', false],
] as const)('%s (labels: %s) gives the same as with an open batch', async (technique, labelled) => {
  const run = async (change: (model: Model) => Model) => {
    const model = change(perceptron({ classes: 2 }));
    const context = contextFor(model, few(labelled), {
      loadModel: async () => change(perceptron({ classes: 2, seed: 9 })),
    });
    const after =
      technique === 'retrain'
        ? await retrain(initialState(model), { epochs: 4 }, context)
        : await distill(
            initialState(model),
            { teacher: 'mdl_teacher', method: 'logits', temperature: 2, alpha: 0.5, epochs: 4 },
            context,
          );
    return { weights: weightsOf(after.model), figures: figuresOf(context) };
  };
  const [got, want] = [await run(fixed), await run((model) => model)];
  expectClose(got.figures, want.figures);
  expectClose(got.weights, want.weights);
});

describe('a teacher and a student that differ in what they fix', () => {
  test.each([
    ['the teacher alone', null, FIXED],
    ['the student alone', FIXED, null],
    ['the teacher more', 8, FIXED],
  ])('%s', async (_, student, teacher) => {
    const [model, other] = [perceptron({ classes: 2 }), perceptron({ classes: 2, seed: 9 })];
    const context = contextFor(model, few(), { loadModel: async () => (teacher ? fixed(other, teacher) : other) });
    await distill(
      initialState(student ? fixed(model, student) : model),
      { teacher: 'mdl_teacher', method: 'logits', temperature: 2, alpha: 0.5, epochs: 2 },
      context,
    );
    expect(figuresOf(context).every(Number.isFinite)).toBe(true);
  });
});

test('every sample of a validation split is counted, in batches of which the last is short', async () => {
  // Nothing is learned: the validation figures are those of the starting weights on 23 samples, in batches of 16.
  const run = async (model: Model) => {
    const context = contextFor(model, clouds({ samples: 250 }));
    await retrain(initialState(model), { epochs: 1, training: { learningRate: 1e-30 } }, context);
    return Object.entries(context.progress.find(({ endOfEpoch }) => endOfEpoch)!.metrics!)
      .filter(([name]) => name.startsWith('validation'))
      .map(([, value]) => value);
  };
  expectClose(await run(fixed(perceptron())), await run(perceptron()));
});
