/** Every technique that trains, once with two replicas: the result is that of one process. */
import { beforeAll, expect, test } from 'vitest';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import type { Step } from '../../../src/contracts/job-request.ts';
import { distance, trainTogether } from '../../support/replicas.ts';
import { MODELS, requestFor } from './sync-suite.ts';

beforeAll(async () => {
  await startEngine('tensorflow', { threads: 1 });
});

const NAMED = [{ teacher: 'r', student: 'r' }];

const STEPS: readonly Step[] = [
  { technique: 'prune-weights', sparsity: 0.5, schedule: 'gradual', epochs: 3 },
  { technique: 'prune-weights', sparsity: 0.5, score: 'taylor', schedule: 'gradual', epochs: 3 },
  { technique: 'prune-channels', ratio: 0.5, score: 'taylor', schedule: 'iterative', epochs: 1 },
  { technique: 'distill', teacher: 'original', epochs: 2 },
  { technique: 'distill', teacher: 'original', student: { width: 0.5 }, method: 'attention', hints: NAMED, epochs: 2 },
  { technique: 'cluster', bits: 3, epochs: 2 },
  { technique: 'factorize', ratio: 0.5, epochs: 2 },
];

test.each(STEPS)('%j', async (step) => {
  const request = {
    ...requestFor({ optimizer: 'sgd', learningRate: 0.01 }, { mode: 'sync' }),
    steps: [step],
  };
  const { model, arrays } = MODELS['cnn']!;
  const [alone, together] = [
    await trainTogether({ model, arrays, request, replicas: 0 }),
    await trainTogether({ model, arrays, request, replicas: 2 }),
  ];
  const { max, compared } = distance(together.model, alone.model);
  expect(compared).toBeGreaterThan(20);
  expect(max).toBeLessThan(1e-4);
  expect(together.context.warnings).toEqual(alone.context.warnings);
  expect(together.context.evidence.find(({ parallel }) => parallel)?.parallel).toMatchObject({ replicas: 2 });
});
