import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npy, writeNpz } from '../../../test/support/datasets.ts';
import { modelOf, value } from '../../../test/support/graphs.ts';
import type { Dataset } from '../data/dataset.ts';
import { datasetProblems } from '../data/match.ts';
import { openDataset } from '../data/open.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { describeModel } from '../graph/describe.ts';
import { makeNode } from '../ir/edit.ts';
import type { Model, Node, ValueInfo } from '../ir/types.ts';
import { measureModels } from './measure.ts';

/**
 * Classifiers as scikit-learn's converter writes them: the label first, then the scores, by default as a map from class
 * to score.
 */
describe('classifiers that give the label in front of their scores', () => {
  let folder: string;
  let dataset: Dataset;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lathe-measure-'));
    // The model's scores are the sample itself: its label is the largest entry's index. The fourth of the labels is
    // wrong.
    const x = Float32Array.from([5, 0, 0, 0, 5, 0, 0, 0, 5, 5, 1, 0]);
    const arrays = {
      x: npy([4, 3], x),
      y: npy([4], Int32Array.from([0, 1, 2, 2])),
      x_test: npy([4, 3], x),
      y_test: npy([4], Int32Array.from([0, 1, 2, 2])),
    };
    dataset = await openDataset(await writeNpz(join(folder, 'labelled.npz'), arrays), {});
  });
  afterAll(async () => {
    await dataset.close();
    await rm(folder, { recursive: true });
  });

  const classifier = (scores: Node, output: ValueInfo): Model =>
    modelOf({
      nodes: [
        makeNode('ArgMax', ['x'], ['label'], { axis: 1, keepdims: 0 }),
        makeNode('Softmax', ['x'], ['p'], { axis: 1 }),
        scores,
      ],
      inputs: [value('x', ['n', 3])],
      outputs: [value('label', ['n'], 'int64'), output],
      domains: { 'ai.onnx.ml': 1 },
    });
  const zipMap = makeNode('ZipMap', ['p'], ['scores'], { classlabels_int64s: [0, 1, 2] }, { domain: 'ai.onnx.ml' });
  // Loss: cross-entropy of the softmax by hand, three times of 5 against 0, 0 and once of 0 against 5, 1; of labels
  // alone, the share that is wrong.
  const crossEntropy = (3 * Math.log(1 + 2 * Math.exp(-5)) + Math.log(1 + Math.exp(5) + Math.exp(1))) / 4;

  it.each([
    [
      'a tensor of scores',
      classifier(makeNode('Identity', ['p'], ['scores']), value('scores', ['n', 3])),
      crossEntropy,
    ],
    ['a map of scores', classifier(zipMap, { name: 'scores', type: null }), 0.25],
  ])('%s', async (_, model, loss) => {
    expect(datasetProblems(describeModel(model, 'onnx'), dataset.description)).toEqual([]);
    const bytes = writeOnnx(model);
    const [measures] = await measureModels({
      original: bytes,
      candidates: [bytes],
      dataset,
      transform: {},
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(measures).toMatchObject({
      accuracy: { top1: 0.75, samples: 4 },
      fidelity: { maxAbsError: 0, top1Agreement: 1 },
    });
    expect(measures!.accuracy!.loss).toBeCloseTo(loss, 5);
  });

  it('agreement of labels alone', async () => {
    const original = classifier(zipMap, { name: 'scores', type: null });
    const least = {
      ...original,
      graph: {
        ...original.graph,
        nodes: original.graph.nodes.map((node) => (node.opType === 'ArgMax' ? { ...node, opType: 'ArgMin' } : node)),
      },
    };
    const [, measures] = await measureModels({
      original: writeOnnx(original),
      candidates: [writeOnnx(least)],
      dataset,
      transform: {},
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(measures!.fidelity.top1Agreement).toBe(0); // no row's largest entry is its smallest
  });
});
