/** A folded file is offered only if it computes the same as the model. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readModel } from '../../../src/compression/formats/read-model.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import type { FloatModel } from '../../../src/compression/recipe/float-model.ts';
import { foldedFile, largestDifference } from '../../../src/compression/recipe/folded-file.ts';
import { projectRoot } from '../../../src/process/entry.ts';
import { withWeights } from '../../support/models.ts';

const upload = readFileSync(join(projectRoot, 'test', 'data', 'keras', 'towers.keras'));
const float = (model: Model): FloatModel => ({
  model,
  kept: new Map(),
  step: 0,
  storage: 'own',
  folded: true,
  changed: false,
});

/** The layers named multiplied: values between them are large and small, yet finite. */
const FACTORS: Readonly<Record<string, number>> = {
  'first/kernel': 1e-10,
  'first/bias': 1e-10,
  'dense_10/kernel': 1e25,
  'dense_10/bias': 1e15,
  'batch_normalization_5/gamma': 1e20,
  'dense_9/kernel': 1e-35,
};
const factorOf = (name: string): number => Object.entries(FACTORS).find(([part]) => name.includes(part))?.[1] ?? 1;

it('is the one without normalizations', async () => {
  const { model, format } = await readModel(upload);
  const reasons: string[] = [];
  const written = await foldedFile(upload, format, {
    float: float(model),
    storage: 'own',
    decline: (reason) => reasons.push(reason),
  });
  expect([written!.folded, reasons]).toEqual([['inner/batch_normalization_5'], []]);
});

it('is declined if float32 cannot hold the folded kernel', async () => {
  const { model, format } = await readModel(upload);
  const extreme = withWeights(model, (value, _, name) => value * factorOf(name));
  expect(await largestDifference(extreme, extreme)).toBe(0); // it computes as it is
  const reasons: string[] = [];
  expect(
    await foldedFile(upload, format, {
      float: float(extreme),
      storage: 'own',
      decline: (reason) => reasons.push(reason),
    }),
  ).toBeNull();
  expect(reasons).toEqual([expect.stringContaining('outputs differ by')]);
});

it('says nothing if there is nothing to fold', async () => {
  const plain = readFileSync(join(projectRoot, 'test', 'data', 'keras', 'nested.h5'));
  const { model, format } = await readModel(plain);
  const reasons: string[] = [];
  expect(
    await foldedFile(plain, format, { float: float(model), storage: 'own', decline: (reason) => reasons.push(reason) }),
  ).toBeNull();
  expect(reasons).toEqual([]);
});

it('models of other results or outputs differ', async () => {
  const { model } = await readModel(upload);
  const other = withWeights(model, (value, _, name) => (name.includes('first/kernel') ? value * 1.001 : value));
  const difference = await largestDifference(model, other);
  expect(difference).toBeGreaterThan(1e-5);
  expect(difference).toBeLessThan(0.1);
  const renamed = {
    ...model,
    graph: {
      ...model.graph,
      nodes: model.graph.nodes.map((node) => ({ ...node, outputs: node.outputs.map(rename) })),
      outputs: model.graph.outputs.map((output) => ({ ...output, name: rename(output.name) })),
    },
  };
  expect(await largestDifference(model, renamed)).toBe(Infinity);

  function rename(name: string): string {
    return name === model.graph.outputs[0]!.name ? 'renamed' : name;
  }
});
