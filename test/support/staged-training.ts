/** A short training of a small model, step by step as a test says. */
import { expect } from 'vitest';
import { batchSource } from '../../src/compression/data/batches.ts';
import type { Dataset } from '../../src/compression/data/dataset.ts';
import { trainAndValidation } from '../../src/compression/data/splits.ts';
import type { Model } from '../../src/compression/ir/types.ts';
import { lowerOrThrow } from '../../src/compression/network/lower.ts';
import type { Network } from '../../src/compression/network/network.ts';
import { Masks } from '../../src/compression/training/constraint.ts';
import { findHead } from '../../src/compression/training/head.ts';
import type { StepMaker } from '../../src/compression/training/step.ts';
import { chooseLoss, supervisedTerm } from '../../src/compression/training/supervised.ts';
import { train } from '../../src/compression/training/train.ts';
import { memoryCheckpoints } from './steps.ts';

export interface Ended {
  readonly weights: number[];
  readonly losses: number[];
}

export async function trained(
  model: Model,
  dataset: Dataset,
  makeStep: (network: Network) => StepMaker,
  masked = false,
): Promise<Ended> {
  const network = lowerOrThrow(model);
  const head = findHead(network.model, 'y');
  const { train: split } = trainAndValidation(dataset, 0.2, 1);
  const inputs = network.inputs.map(({ name, type }) => ({
    name,
    dtype: type.dtype,
    shape: type.shape!.map((dim) => (typeof dim === 'number' ? dim : null)),
  }));
  const masks = masked ? new Masks(network.parameters) : null;
  for (const parameter of masked ? network.parameters : []) {
    const half = Float32Array.from({ length: parameter.variable.size }, (_, i) => i % 2);
    masks?.set(parameter, half);
  }
  const { history } = await train({
    network,
    terms: [supervisedTerm(head, chooseLoss('auto', head, 'classes'))],
    metrics: [],
    settings: { optimizer: 'sgd', learningRate: 0.05, clipNorm: 1, weightDecay: 0.01 },
    epochs: 2,
    seed: 5,
    train: batchSource(split, { batchSize: 17, shuffle: true, seed: 1, transform: {}, inputs, numWorkers: 0 }),
    validation: null,
    constraints: masks ? [masks] : [],
    makeStep: makeStep(network),
    checkpoints: memoryCheckpoints(),
    signal: new AbortController().signal,
    report: () => undefined,
  });
  const weights = [...network.parameters, ...network.state].flatMap(({ variable }) => [...variable.dataSync()]);
  masks?.dispose();
  network.dispose();
  return { weights, losses: history.map(({ loss }) => loss!) };
}

export function expectClose(found: Ended, expected: Ended): void {
  for (const kind of ['weights', 'losses'] as const) {
    expect(found[kind]).toHaveLength(expected[kind].length);
    found[kind].forEach((value, i) => expect(Math.abs(value - expected[kind][i]!)).toBeLessThan(1e-5));
  }
}
