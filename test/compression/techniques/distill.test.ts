import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { apply } from '../../../src/compression/techniques/distill/apply.ts';
import type { DistillParameters } from '../../../src/compression/techniques/distill/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { clouds, perceptron, randomTensor } from '../../support/models.ts';
import { contextFor, initialState, type TestContext } from '../../support/steps.ts';

const parameters = (given: Partial<DistillParameters> = {}): DistillParameters => ({
  teacher: 'original',
  method: 'logits',
  temperature: 4,
  alpha: 0.9,
  epochs: 8,
  ...given,
});
const epochs = (context: TestContext) =>
  context.progress.filter(({ endOfEpoch }) => endOfEpoch).map(({ metrics }) => metrics!);

beforeAll(async () => {
  await startEngine('wasm', { threads: 1 });
});

async function taught(model: Model): Promise<Model> {
  return (await retrain(initialState(model), { epochs: 3 }, contextFor(model, clouds()))).model;
}

describe('distill', () => {
  test.each([null, 'Softmax', 'Sigmoid'] as const)(
    'a new student learns from another model behind %s, labelled or not',
    async (activation) => {
      const teacher = await taught(perceptron({ hidden: 32, activation }));
      for (const labelled of [true, false]) {
        const student = perceptron({ hidden: 12, seed: 21, activation });
        const context = contextFor(student, clouds({ labelled }), { loadModel: async () => teacher });
        await apply(initialState(student), parameters({ teacher: 'mdl_teacher' }), context);
        const [first, last] = [epochs(context)[0]!, epochs(context).at(-1)!];
        expect(last['validation.loss']).toBeLessThan(first['validation.loss']! * 0.7);
        if (labelled) expect(last['validation.top1']).toBeGreaterThan(0.95);
      }
    },
  );

  test('a student equal to its teacher has nothing to learn: the KL term is zero', async () => {
    const model = await taught(perceptron({ activation: 'Softmax' }));
    const context = contextFor(model, clouds({ labelled: false }));
    const after = await apply(
      initialState(model),
      parameters({ epochs: 1, training: { learningRate: 1e-9 } }),
      context,
    );
    expect(Math.abs(epochs(context)[0]!.loss!)).toBeLessThan(1e-5);
    expect(after.model.graph.nodes).toEqual(model.graph.nodes);
  });

  test('learns every output of a model with several that are no class scores', async () => {
    const build = (seed: number): Model =>
      modelOf({
        nodes: [
          makeNode('Gemm', ['x', 'w', 'c'], ['h']),
          makeNode('Relu', ['h'], ['a']),
          makeNode('MatMul', ['a', 'u'], ['near']),
          makeNode('MatMul', ['a', 'v'], ['far']),
        ],
        initializers: [
          randomTensor('w', [4, 24], seed),
          tensor('c', [24], new Float32Array(24)),
          randomTensor('u', [24, 2], seed + 1),
          tensor(
            'v',
            [24, 3],
            spread(72, seed).map((weight) => weight * 1000),
          ),
        ],
        inputs: [value('x', ['n', 4])],
        outputs: [value('near', ['n', 2]), value('far', ['n', 3])],
      });
    const teacher = build(1);
    const student = build(1);
    // The same network with one kernel disturbed: both outputs are off, at scales a thousand times apart.
    const disturbed: Model = {
      ...student,
      graph: {
        ...student.graph,
        initializers: new Map([...student.graph.initializers, ['w', randomTensor('w', [4, 24], 77)]]),
      },
    };
    const context = contextFor(teacher, clouds({ labelled: false, samples: 600 }));
    await apply(initialState(disturbed), parameters({ epochs: 12 }), context);
    expect(epochs(context).at(-1)!['validation.loss']).toBeLessThan(epochs(context)[0]!['validation.loss']! * 0.3);
  });

  test('refuses a teacher that cannot run', async () => {
    const model = perceptron();
    const odd: Model = {
      ...model,
      graph: {
        ...model.graph,
        nodes: [
          ...model.graph.nodes.slice(0, -1),
          { ...model.graph.nodes.at(-1)!, opType: 'Mystery', domain: 'far.away' },
        ],
      },
    };
    const context = contextFor(model, clouds(), { loadModel: async () => odd });
    await expect(apply(initialState(model), parameters({ teacher: 'odd' }), context)).rejects.toMatchObject({
      code: 'model-not-trainable',
    });
  });
});
