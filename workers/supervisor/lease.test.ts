import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Lease } from './lease.ts';

const settings = { leaseMs: 300, heartbeatMs: 30 };

test('beats while it holds, and stops when told to', async () => {
  let beats = 0;
  const lease = new Lease(() => {
    beats++;
    return Promise.resolve('ok');
  }, settings);
  await sleep(200);
  lease.stop();
  const counted = beats;
  expect(counted).toBeGreaterThanOrEqual(3);
  await sleep(100);
  expect(beats).toBe(counted);
  expect(lease.end).toBeNull();
});

test('goes on beating after a cancellation was asked for, until whoever cancels is done', async () => {
  let beats = 0;
  const lease = new Lease(() => Promise.resolve(++beats === 1 ? 'ok' : 'cancel-requested'), settings);
  await lease.ended;
  const counted = beats;
  await sleep(150);
  expect(lease.end).toBe('cancel-requested');
  expect(beats).toBeGreaterThan(counted);
  lease.stop();
});

test('is lost for good when the store says so', async () => {
  const answers = ['ok', 'lost', 'ok', 'ok'] as const;
  let at = 0;
  const lease = new Lease(() => Promise.resolve(answers[at++] ?? 'ok'), settings);
  await lease.ended;
  await sleep(100);
  expect(lease.end).toBe('lost');
  expect(at).toBe(2);
});

test('outlives a store that is away for a moment, not one that is away for longer than the lease', async () => {
  let away = true;
  const lease = new Lease(
    () => (away ? Promise.reject(new Error('no connection')) : Promise.resolve('ok' as const)),
    settings,
  );
  await sleep(150);
  away = false;
  await sleep(250);
  expect(lease.end).toBeNull();
  away = true;
  const since = Date.now();
  await lease.ended;
  expect(lease.end).toBe('lost');
  expect(Date.now() - since).toBeGreaterThan(200);
  expect(Date.now() - since).toBeLessThan(900);
});
