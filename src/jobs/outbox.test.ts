import { expect, test } from 'vitest';
import { handleRows, outboxMessage, type OutboxHandlers, type OutboxRow } from './outbox.ts';

const queued = (id: bigint, jobId: string): OutboxRow => ({ id, ...outboxMessage('job-queued', { jobId }) });

function handlers(failing = false): { readonly handlers: OutboxHandlers; readonly got: string[] } {
  const got: string[] = [];
  return {
    got,
    handlers: {
      'job-queued': async (payloads) => {
        got.push(...payloads.map(({ jobId }) => jobId));
        if (failing) throw new Error('the queue is away');
      },
    },
  };
}

test('each row reaches the handler of its kind', async () => {
  const { handlers: given, got } = handlers();
  expect(await handleRows([queued(1n, 'job_a'), queued(2n, 'job_b')], given)).toEqual({
    done: [1n, 2n],
    failed: [],
    unknown: [],
  });
  expect(got).toEqual(['job_a', 'job_b']);
});

test('rows whose handler throws are not done', async () => {
  expect(await handleRows([queued(1n, 'job_a')], handlers(true).handlers)).toMatchObject({
    done: [],
    failed: [{ ids: [1n], error: { message: 'the queue is away' } }],
  });
});

test('rows of a later release are left alone, and keep no other row', async () => {
  const foreign: OutboxRow[] = [
    { id: 1n, kind: 'webhook', version: 1, payload: {} },
    { ...queued(2n, 'job_b'), version: 2 },
    { ...queued(3n, 'job_c'), payload: { job: 'job_c' } },
    { id: 4n, kind: 'toString', version: 1, payload: {} },
  ];
  const { handlers: given, got } = handlers();
  expect(await handleRows([...foreign, queued(5n, 'job_e')], given)).toEqual({
    done: [5n],
    failed: [],
    unknown: foreign,
  });
  expect(got).toEqual(['job_e']);
});
