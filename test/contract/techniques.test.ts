/** The contract of every registered technique. The tests find techniques in the registry. */
import { beforeAll, describe, expect, test } from 'vitest';
import { Value } from 'typebox/value';
import type { Dataset } from '../../src/compression/data/dataset.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { validateModel } from '../../src/compression/ir/validate.ts';
import { checkRuns } from '../../src/compression/recipe/runtime-check.ts';
import { TECHNIQUES } from '../../src/compression/techniques/registry.ts';
import type { StepContext } from '../../src/compression/step/step-context.ts';
import type { Technique } from '../../src/compression/techniques/technique.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import { clouds, perceptron } from '../support/models.ts';
import { contextFor, initialState } from '../support/steps.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const model = perceptron({ activation: 'Softmax', hidden: 32 });

const complete = ({ spec }: Technique, given: Record<string, unknown>) =>
  Value.Default(spec.parameters, {
    ...spec.defaults?.(given, { trainable: true, data: 'labels' }),
    ...given,
  }) as Record<string, unknown>;

const run = (technique: Technique, parameters: Record<string, unknown>, more: Partial<StepContext> = {}) =>
  technique.apply(initialState(model), parameters, contextFor(model, clouds(), more));

/** Tells of each batch that is read; a single sample is read to learn its form. */
function counted(dataset: Dataset, onRead: () => void): Dataset {
  return {
    ...dataset,
    split: (name) => {
      const split = dataset.split(name);
      return {
        ...split,
        read: (indices, options) => {
          if (indices.length > 1) onRead();
          return split.read(indices, options);
        },
      };
    },
  };
}

describe.each([...TECHNIQUES])('%s', (_name, technique) => {
  test('parameters: every one has a description, the neutral ones fit the schema', () => {
    const { properties } = technique.spec.parameters as unknown as {
      properties: Record<string, { description?: string }>;
    };
    for (const [name, schema] of Object.entries(properties)) expect(schema.description, name).toBeTruthy();
    expect(Value.Check(technique.spec.parameters, complete(technique, technique.spec.neutral))).toBe(true);
    expect(technique.spec.contradictions?.(complete(technique, technique.spec.neutral)) ?? []).toEqual([]);
  });

  test('techniques that train change float weights and cost time in proportion to the samples', () => {
    const parameters = complete(technique, {});
    if (!technique.spec.needs(parameters).trainable) return;
    expect(technique.spec.changesFloatWeights(parameters)).toBe(true);
    const cost = (trainingSamples: number) =>
      technique.spec.cost!(parameters, { forwardSeconds: 0.001, trainingSamples, kernelLayers: 2 });
    expect(cost(1000)).toBeGreaterThanOrEqual(3); // forward and two backward passes of every sample, once
    expect(cost(2000)).toBeCloseTo(2 * cost(1000), 9);
  });

  test('with neutral parameters it changes nothing', async () => {
    const after = await run(technique, complete(technique, technique.spec.neutral));
    expect(Buffer.from(writeOnnx(after.model)).equals(Buffer.from(writeOnnx(model)))).toBe(true);
  });

  test('the same seed gives the same bytes; the result runs in onnxruntime; no tensor is left', async () => {
    const before = tf.memory().numTensors;
    const files = [];
    for (let i = 0; i < 2; i++) files.push(writeOnnx((await run(technique, complete(technique, {}))).model));
    expect(Buffer.from(files[0]!).equals(Buffer.from(files[1]!))).toBe(true);
    expect(Buffer.from(files[0]!).equals(Buffer.from(writeOnnx(model)))).toBe(technique.spec.isReadOnly ?? false);
    expect(tf.memory().numTensors).toBe(before);
    validateModel((await run(technique, complete(technique, {}))).model);
    await checkRuns(files[0]!, { dataset: clouds(), transform: {}, technique: technique.spec.name });
  });

  test('it reads the uploaded model only if its spec says so', async () => {
    const parameters = complete(technique, {});
    if (technique.spec.usesOriginal?.(parameters) ?? true) return;
    const untouchable = new Proxy(model, {
      get: () => {
        throw new Error(`${technique.spec.name} has looked at the uploaded model`);
      },
    });
    await run(technique, parameters, { original: untouchable });
  });

  test('an abort takes effect within one batch and leaves no tensor', async () => {
    const before = tf.memory().numTensors;
    const stop = new AbortController();
    let [reads, late] = [0, 0];
    const dataset = counted(clouds(), () => {
      if (stop.signal.aborted) late++;
      if (++reads === 4) stop.abort(new Error('canceled'));
    });
    const running = technique.apply(
      initialState(model),
      complete(technique, {}),
      contextFor(model, dataset, { signal: stop.signal }),
    );
    if (reads > 0 || technique.spec.needs(complete(technique, {})).data !== 'none') {
      const outcome = await running.then(
        () => 'finished',
        (error: unknown) => (error as Error).message,
      );
      expect(stop.signal.aborted ? outcome : 'canceled').toBe('canceled');
    } else await running;
    expect(late).toBeLessThanOrEqual(1);
    expect(tf.memory().numTensors).toBe(before);
    await expect(
      run(technique, complete(technique, {}), { signal: AbortSignal.abort(new Error('canceled before')) }),
    ).rejects.toThrow('canceled before');
  });
});
