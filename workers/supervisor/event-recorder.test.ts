import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { JobEvent } from '../../src/jobs/ports/events.ts';
import { EventRecorder } from './event-recorder.ts';

const progress = (value: number): JobEvent => ({ type: 'progress', data: { progress: value } });
const metric = (epoch: number): JobEvent => ({ type: 'metric', data: { epoch } });

test('keeps the order, and of progress in a row only the last', async () => {
  const batches: JobEvent[][] = [];
  const recorder = new EventRecorder(async (events) => {
    batches.push([...events]);
  });
  for (const event of [progress(0.1), progress(0.2), metric(0), progress(0.3), progress(0.4)]) recorder.add(event);
  await recorder.flush();
  expect(batches).toEqual([[progress(0.2), metric(0), progress(0.4)]]);
});

test('writes by itself after a moment, one batch after the other even where the store is slow', async () => {
  const written: number[] = [];
  let writing = 0;
  const recorder = new EventRecorder(async (events) => {
    expect(++writing).toBe(1);
    await sleep(50);
    written.push(...events.map(({ data }) => data['epoch'] as number));
    writing--;
  });
  for (let epoch = 0; epoch < 450; epoch++) recorder.add(metric(epoch));
  await sleep(300);
  for (let epoch = 450; epoch < 460; epoch++) recorder.add(metric(epoch));
  await recorder.flush();
  expect(written).toEqual(Array.from({ length: 460 }, (_, i) => i));
});
