/**
 * int8 files compute the same on every processor. A reference that adds products with saturation
 * (support/saturating.ts) stands for processors without VNNI, and onnxruntime itself if this machine saturates.
 */
import Value from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { arrayDataset } from '../../../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../../../src/compression/data/array-store.ts';
import type { Dataset } from '../../../src/compression/data/dataset.ts';
import { seededNormal } from '../../../src/compression/data/random.ts';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { integerProducts, saturatingProducts } from '../../../src/compression/graph/integer-products.ts';
import { unsignedWeights } from '../../../src/compression/graph/passes/unsigned-weights.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { fidelityMeter } from '../../../src/compression/measure/fidelity.ts';
import { productsSaturate } from '../../../src/compression/measure/saturation-probe.ts';
import { openRuntime, type Feeds, type RuntimeOptions } from '../../../src/compression/measure/session.ts';
import { apply } from '../../../src/compression/techniques/quantize/apply.ts';
import { spec, type QuantizeParameters } from '../../../src/compression/techniques/quantize/spec.ts';
import { INTEGER_NETWORKS } from '../../support/integer-networks.ts';
import { saturatingTwin } from '../../support/saturating.ts';
import { withWeights } from '../../support/models.ts';
import { contextFor, initialState } from '../../support/steps.ts';

const SAMPLES = 8;

function inputs(shape: readonly number[], samples: number, seed: number): Float32Array {
  const normal = seededNormal(seed);
  return Float32Array.from({ length: samples * shape.reduce((a, b) => a * b, 1) }, () => normal());
}

function calibration(shape: readonly number[]): Dataset {
  const x = arrayFrom('float32', [64, ...shape], inputs(shape, 64, 1));
  return arrayDataset('npz', new Map([['train', { inputs: new Map([['x', x]]), target: null }]]), { name: 'y' });
}

async function quantized(model: Model, shape: readonly number[], given: Record<string, unknown>): Promise<Model> {
  const parameters = Value.Default(spec.parameters, structuredClone(given)) as QuantizeParameters;
  return (await apply(initialState(model), parameters, contextFor(model, calibration(shape)))).model;
}

async function outputs(model: Model, feeds: Feeds, options: RuntimeOptions = {}) {
  const runtime = await openRuntime(writeOnnx(model), options);
  try {
    return await runtime.run(feeds);
  } finally {
    await runtime.release();
  }
}

/** Decibels of each model's noise against the float model, on samples that were not calibrated on. */
async function noise(
  model: Model,
  shape: readonly number[],
  others: readonly (readonly [Model, RuntimeOptions])[],
): Promise<number[]> {
  const feeds: Feeds = new Map([
    ['x', { dtype: 'float32', shape: [SAMPLES, ...shape], data: inputs(shape, SAMPLES, 2) }],
  ]);
  const reference = await outputs(model, feeds);
  const found: number[] = [];
  for (const [other, options] of others) {
    const meter = fidelityMeter();
    meter.add(reference, await outputs(other, feeds, options), SAMPLES, SAMPLES);
    found.push(meter.result().sqnrDb ?? Infinity);
  }
  return found;
}

const SPELLED: RuntimeOptions = { optimization: 'disabled' };

describe.each(INTEGER_NETWORKS)('$title', ({ input, model: make }) => {
  const model = make();
  it.each([
    ['static', {}],
    ['static, everywhere', { where: 'everywhere' }],
    ['static, one scale', { where: 'everywhere', perChannel: false }],
    ['dynamic', { method: 'dynamic' }],
  ])('%s: one model on every processor', async (_, given) => {
    const small = await quantized(model, input, given);
    expect(saturatingProducts(small.graph)).toEqual([]);
    const [here, exact, saturating] = await noise(model, input, [
      [small, {}],
      [unsignedWeights(small), {}],
      [saturatingTwin(small), SPELLED],
    ]);
    expect(exact).toBeGreaterThan('perChannel' in given ? 22 : 25);
    expect(Math.abs(here! - exact!)).toBeLessThan(1);
    expect(Math.abs(saturating! - exact!)).toBeLessThan(1);
  });
});

describe('files for processors with VNNI alone', () => {
  const { input, model: make } = INTEGER_NETWORKS.find(({ title }) => title === 'a perceptron')!;
  // Weights of one sign and size: most pairs of products pass 16 bits.
  const model = withWeights(make(), (weight) => (0.9 + 0.1 * Math.sign(weight)) / 75);
  it.each([
    ['static', { target: 'x86-vnni', where: 'everywhere' }],
    ['dynamic', { target: 'arm64', method: 'dynamic' }],
  ])('%s: take all 8 bits, and come out wrong elsewhere', async (_, given) => {
    const small = await quantized(model, input, given);
    expect(saturatingProducts(small.graph)).toHaveLength(integerProducts(small.graph).length);
    const [here, exact, saturating] = await noise(model, input, [
      [small, {}],
      [unsignedWeights(small), {}],
      [saturatingTwin(small), SPELLED],
    ]);
    expect(exact!).toBeGreaterThan(30);
    expect(saturating!).toBeLessThan(exact! - 5);
    // The reference matches this machine, whichever it is.
    expect(Math.abs(here! - ((await productsSaturate()) ? saturating! : exact!))).toBeLessThan(1);
  });
});
