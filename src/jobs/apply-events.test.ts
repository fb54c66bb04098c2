import { expect, test } from 'vitest';
import { applyEvents } from './apply-events.ts';
import type { StoredStep } from './ports/api-side.ts';
import type { JobEvent } from './ports/events.ts';

const NOW = new Date('2030-01-01T00:00:00Z');
const step = (index: number): StoredStep => ({
  index,
  technique: 'retrain',
  state: 'pending',
  progress: 0,
  metrics: {},
  warnings: [],
  startedAt: null,
  endedAt: null,
});
const run = (...events: JobEvent[]) => applyEvents([step(0), step(1)], events, NOW);

test('a step starts, goes on and ends', () => {
  const { steps, progress } = run(
    { type: 'step', data: { step: 0, technique: 'retrain', state: 'running' } },
    { type: 'progress', data: { step: 0, technique: 'retrain', progress: 0.25, stepProgress: 0.5 } },
  );
  expect(steps[0]).toMatchObject({ state: 'running', progress: 0.5, startedAt: NOW, endedAt: null });
  expect(progress).toBe(0.25);
  const [ended] = applyEvents(steps, [{ type: 'step', data: { step: 0, state: 'succeeded' } }], NOW).steps;
  expect(ended).toMatchObject({ state: 'succeeded', progress: 1, endedAt: NOW });
});

test('metrics are kept by epoch, the last of them on the step', () => {
  const { steps, metrics } = run(
    { type: 'metric', data: { step: 1, epoch: 0, metrics: { loss: 2, accuracy: 0.5 } } },
    { type: 'metric', data: { step: 1, epoch: 1, metrics: { loss: 1 } } },
    { type: 'metric', data: { step: 1, epoch: 1, metrics: { loss: 0.9 } } },
  );
  expect(steps[1]?.metrics).toEqual({ loss: 0.9, accuracy: 0.5 });
  expect(metrics).toEqual([
    { step: 1, epoch: 0, name: 'loss', value: 2 },
    { step: 1, epoch: 0, name: 'accuracy', value: 0.5 },
    { step: 1, epoch: 1, name: 'loss', value: 0.9 },
  ]);
});

test('a step that is run again forgets what its first run warned of', () => {
  const warned = run({ type: 'warning', data: { step: 0, code: 'slow', message: 'slow data' } }).steps;
  expect(warned[0]?.warnings).toEqual([{ code: 'slow', message: 'slow data', step: 0 }]);
  expect(applyEvents(warned, [{ type: 'step', data: { step: 0, state: 'running' } }], NOW).steps[0]?.warnings).toEqual(
    [],
  );
});

test('what makes no sense changes nothing', () => {
  const { steps, metrics, progress } = run(
    { type: 'step', data: { step: 7, state: 'running' } },
    { type: 'step', data: { step: 0, state: 'exploded' } },
    { type: 'metric', data: { step: 0, epoch: 0, metrics: { loss: NaN } } },
    { type: 'progress', data: { step: 0, progress: Infinity } },
  );
  expect(steps).toEqual([step(0), step(1)]);
  expect(metrics).toEqual([]);
  expect(progress).toBeNull();
});
