/** Distillation from a teacher's features. */
import { beforeAll, describe, expect, test } from 'vitest';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { apply } from '../../../src/compression/techniques/distill/apply.ts';
import { attentionTerm } from '../../../src/compression/techniques/distill/attention-term.ts';
import type { Feature } from '../../../src/compression/techniques/distill/features.ts';
import { hintTerm } from '../../../src/compression/techniques/distill/hint-term.ts';
import { relationalTerm } from '../../../src/compression/techniques/distill/relational-term.ts';
import type { DistillParameters } from '../../../src/compression/techniques/distill/spec.ts';
import { apply as retrain } from '../../../src/compression/techniques/retrain/apply.ts';
import type { CheckpointStore } from '../../../src/compression/step/checkpoint-store.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import { TeacherForward } from '../../../src/compression/training/teacher-forward.ts';
import type { LossTerm } from '../../../src/compression/training/term.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { modelOf, spread, tensor, value } from '../../support/graphs.ts';
import { clouds, images, perceptron, randomTensor } from '../../support/models.ts';
import { contextFor, initialState, memoryCheckpoints, type TestContext } from '../../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const parameters = (given: Partial<DistillParameters> = {}): DistillParameters => ({
  teacher: 'mdl_teacher',
  method: 'logits',
  temperature: 4,
  alpha: 0.9,
  epochs: 2,
  ...given,
});
const epochs = (context: TestContext) =>
  context.progress.filter(({ endOfEpoch }) => endOfEpoch).map(({ metrics }) => metrics!);

/** Two convolutions with ReLU and a pooling between them, averaged, and a head: [n, 4, 6, 6] -> [n, 3]. */
function pictures(filters: number, seed: number): Model {
  const nodes = [
    node('Conv', ['x', 'k1', 'b1'], ['c1'], { pads: [1, 1, 1, 1] }),
    node('Relu', ['c1'], ['r1']),
    node('Conv', ['r1', 'k2', 'b2'], ['c2'], { pads: [1, 1, 1, 1] }),
    node('Relu', ['c2'], ['r2']),
    node('MaxPool', ['r2'], ['p2'], { kernel_shape: [2, 2], strides: [2, 2] }),
    node('Conv', ['p2', 'k3', 'b3'], ['c3'], { pads: [1, 1, 1, 1] }),
    node('Relu', ['c3'], ['r3']),
    node('GlobalAveragePool', ['r3'], ['g']),
    node('Flatten', ['g'], ['f']),
    node('Gemm', ['f', 'w', 'd'], ['y'], { transB: 1 }),
  ];
  const bias = (name: string, size: number) =>
    tensor(
      name,
      [size],
      spread(size, seed).map((weight) => weight * 0.1),
    );
  const initializers = [
    randomTensor('k1', [filters, 4, 3, 3], seed),
    bias('b1', filters),
    randomTensor('k2', [filters, filters, 3, 3], seed + 1),
    bias('b2', filters),
    randomTensor('k3', [filters, filters, 3, 3], seed + 2),
    bias('b3', filters),
    randomTensor('w', [3, filters], seed + 3),
    bias('d', 3),
  ];
  return modelOf({ nodes, initializers, inputs: [value('x', ['n', 4, 6, 6])], outputs: [value('y', ['n', 3])] });
}

async function taughtPictures(): Promise<Model> {
  const model = pictures(16, 1);
  return (await retrain(initialState(model), { epochs: 6 }, contextFor(model, images()))).model;
}

describe('every method', () => {
  test.each([
    ['hints', {}],
    ['attention', {}],
    ['relational', {}],
    [
      'hints',
      {
        hints: [
          { teacher: 'r1', student: 'r1' },
          { teacher: 'r3', student: 'r3' },
        ],
        hintEpochs: 1,
      },
    ],
    ['attention', { hints: [{ teacher: 'r3', student: 'r2' }] }], // 3 x 3 maps for 6 x 6 ones
    ['relational', { hints: [{ teacher: 'g', student: 'y' }] }],
  ] as const)('%s, given %j, teaches a narrower network, labelled or not', async (method, given) => {
    const teacher = await taughtPictures();
    for (const labelled of [true, false]) {
      const student = pictures(6, 30);
      const context = contextFor(student, images({ labelled }), { loadModel: async () => teacher });
      const result = await apply(
        initialState(student),
        parameters({ method, epochs: 4, alpha: 0.5, ...given } as Partial<DistillParameters>),
        context,
      );
      const figures = epochs(context);
      const stages = method === 'hints' ? ('hintEpochs' in given ? 1 : 4) : 0;
      expect(figures).toHaveLength(4 + stages);
      expect(figures.at(-1)!['validation.loss']).toBeLessThan(figures[stages]!['validation.loss']!);
      expect(context.progress.at(-1)!.progress).toBeCloseTo(1, 6);
      expect(result.model.graph.nodes).toEqual(student.graph.nodes);
    }
  });

  test("the stage of hints brings the feature to the teacher's", async () => {
    const teacher = await taughtPictures();
    const student = pictures(16, 40);
    const context = contextFor(student, images(), { loadModel: async () => teacher });
    await apply(
      initialState(student),
      parameters({ method: 'hints', hints: [{ teacher: 'r2', student: 'r2' }], hintEpochs: 12, epochs: 1 }),
      context,
    );
    const losses = epochs(context)
      .slice(0, 12)
      .map((metrics) => metrics['validation.loss']!);
    expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.6);
  });

  test('without images: perceptrons', async () => {
    const teacher = (
      await retrain(
        initialState(perceptron({ hidden: 32 })),
        { epochs: 3 },
        contextFor(perceptron({ hidden: 32 }), clouds()),
      )
    ).model;
    for (const method of ['hints', 'relational'] as const) {
      const student = perceptron({ hidden: 12, seed: 21 });
      const context = contextFor(student, clouds({ labelled: false }), { loadModel: async () => teacher });
      await apply(initialState(student), parameters({ method, epochs: 6 }), context);
      expect(epochs(context).at(-1)!['validation.loss']).toBeLessThan(
        epochs(context)[method === 'hints' ? 6 : 0]!['validation.loss']!,
      );
    }
    const student = perceptron({ hidden: 12, seed: 21 });
    const context = contextFor(student, clouds(), { loadModel: async () => teacher });
    await expect(apply(initialState(student), parameters({ method: 'attention' }), context)).rejects.toMatchObject({
      code: 'shape-mismatch',
      message: expect.stringContaining('"a1"') as string,
    });
  });

  test('a kill in either stage resumes to the same bytes', async () => {
    const teacher = await taughtPictures();
    const student = pictures(6, 30);
    const settings = parameters({ method: 'hints', hintEpochs: 2, epochs: 3 });
    const whole = await apply(
      initialState(student),
      settings,
      contextFor(student, images(), { loadModel: async () => teacher }),
    );
    for (const epochsBefore of [1, 2, 3, 4]) {
      const controller = new AbortController();
      const checkpoints = memoryCheckpoints();
      let seen = 0;
      const counting: CheckpointStore = {
        load: () => checkpoints.load(),
        save: async (bytes) => {
          await checkpoints.save(bytes);
          if (++seen === epochsBefore) controller.abort(new Error('killed'));
        },
      };
      await expect(
        apply(
          initialState(student),
          settings,
          contextFor(student, images(), {
            loadModel: async () => teacher,
            checkpoints: counting,
            signal: controller.signal,
          }),
        ),
      ).rejects.toThrow('killed');
      const resumed = await apply(
        initialState(student),
        settings,
        contextFor(student, images(), { loadModel: async () => teacher, checkpoints }),
      );
      expect(Buffer.compare(writeOnnx(resumed.model), writeOnnx(whole.model)), `after ${epochsBefore} epochs`).toBe(0);
    }
  });

  test.each([
    [{ method: 'hints', hints: [{ teacher: 'nowhere', student: 'r1' }] }, 'invalid-request', '/hints/0/teacher'],
    [
      {
        method: 'relational',
        hints: [
          { teacher: 'r1', student: 'r1' },
          { teacher: 'r1', student: 'k1' },
        ],
      },
      'invalid-request',
      '/hints/1/student',
    ],
    [{ method: 'hints', hints: [{ teacher: 'r1', student: 'r3' }] }, 'shape-mismatch', undefined],
    [{ method: 'attention', hints: [{ teacher: 'f', student: 'f' }] }, 'shape-mismatch', undefined],
  ] as const)('%j is refused by name', async (given, code, path) => {
    const model = pictures(6, 30);
    const context = contextFor(model, images(), { loadModel: async () => pictures(8, 2) });
    const failure = await apply(
      initialState(model),
      parameters(given as unknown as Partial<DistillParameters>),
      context,
    ).then(
      () => null,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code, ...(path && { errors: [{ path }] }) });
  });

  test('leaves nothing on the engine', async () => {
    const teacher = await taughtPictures();
    const run = async (method: DistillParameters['method']) => {
      const student = pictures(6, 30);
      await apply(
        initialState(student),
        parameters({ method, epochs: 1 }),
        contextFor(student, images(), { loadModel: async () => teacher }),
      );
    };
    for (const method of ['hints', 'attention', 'relational'] as const) {
      await run(method);
      const before = tf.memory().numTensors;
      await run(method);
      expect(tf.memory().numTensors).toBe(before);
    }
  });
});

/** Values of the terms against the papers' equations, written out over plain arrays. */
describe('terms', () => {
  const identity = modelOf({
    nodes: [node('Identity', ['x'], ['y'])],
    inputs: [value('x', ['n', 3, 2, 2])],
    outputs: [value('y', null)],
  });
  const maps: Feature = { name: 'y', shape: [4, 3, 2, 2], channelAxis: 1 };
  const [ofTeacher, ofStudent] = [spread(48, 1), spread(48, 2.3)];

  /** The term's loss where teacher and student give these values. */
  function lossOf(make: (teacher: TeacherForward) => LossTerm): number {
    const network = lowerOrThrow(identity);
    const term = make(new TeacherForward(network));
    const loss = tf.tidy(() => {
      const tensorOf = (values: Float32Array) => tf.tensor(values, [4, 3, 2, 2]);
      const prepared = term.prepare!({
        feeds: new Map([['x', { kind: 'device', dtype: 'float32', tensor: tensorOf(ofTeacher) }]]),
        rows: { counted: 4, run: 4 },
      });
      return term.loss({ value: () => tensorOf(ofStudent), target: null, prepared }).dataSync()[0]! * term.weight;
    });
    term.parameters?.forEach(({ variable }) => variable.dispose());
    network.dispose();
    return loss;
  }

  test('attention: the squared distance of normalized maps', () => {
    const map = (values: Float32Array, sample: number): number[] => {
      const sums = [0, 1, 2, 3].map((place) =>
        [0, 1, 2].reduce((sum, channel) => sum + values[sample * 12 + channel * 4 + place]! ** 2, 0),
      );
      const length = Math.hypot(...sums);
      return sums.map((sum) => sum / length);
    };
    const squares = [0, 1, 2, 3].flatMap((sample) =>
      map(ofStudent, sample).map((at, place) => (at - map(ofTeacher, sample)[place]!) ** 2),
    );
    const expected = (1000 / 2) * (squares.reduce((sum, square) => sum + square, 0) / 16);
    expect(lossOf((teacher) => attentionTerm([{ teacher: maps, student: maps }], teacher, 1000))).toBeCloseTo(
      expected,
      3,
    );
  });

  test('relations: distances over their mean, cosines of angles, by Huber', () => {
    const rows = (values: Float32Array): number[][] =>
      [0, 1, 2, 3].map((sample) => [...values.slice(sample * 12, sample * 12 + 12)]);
    const minus = (a: number[], b: number[]): number[] => a.map((at, i) => at - b[i]!);
    const relations = (values: Float32Array): [number[], number[]] => {
      const all = rows(values);
      const distances = all.flatMap((a) => all.map((b) => Math.hypot(...minus(a, b))));
      const mean = distances.reduce((sum, distance) => sum + distance, 0) / 12;
      const unit = (vector: number[]): number[] => vector.map((at) => at / (Math.hypot(...vector) || 1));
      const angles = all.flatMap((corner) =>
        all.flatMap((a) =>
          all.map((b) => unit(minus(a, corner)).reduce((sum, at, i) => sum + at * unit(minus(b, corner))[i]!, 0)),
        ),
      );
      return [distances.map((distance) => distance / mean), angles];
    };
    const huber = (a: number[], b: number[]): number =>
      a.reduce(
        (sum, at, i) => sum + (Math.abs(at - b[i]!) <= 1 ? (at - b[i]!) ** 2 / 2 : Math.abs(at - b[i]!) - 0.5),
        0,
      ) / a.length;
    const [student, teacher] = [relations(ofStudent), relations(ofTeacher)];
    const expected = 25 * huber(student[0], teacher[0]) + 50 * huber(student[1], teacher[1]);
    expect(lossOf((run) => relationalTerm([{ teacher: maps, student: maps }], run, 1))).toBeCloseTo(expected, 4);
  });

  test('hints: with as many channels the regressor starts as the identity', () => {
    const error =
      ofStudent.reduce((sum, at, i) => sum + (at - ofTeacher[i]!) ** 2, 0) /
      ofTeacher.reduce((sum, at) => sum + at ** 2, 0);
    expect(lossOf((teacher) => hintTerm([{ teacher: maps, student: maps }], teacher, 1))).toBeCloseTo(error, 5);
  });
});
