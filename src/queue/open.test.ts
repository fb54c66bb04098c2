import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestPostgres, type TestPostgres } from '../../test/support/postgres.ts';
import { REDIS_MISSING, redisServer, startRedis, type TestRedis } from '../../test/support/redis.ts';
import type { JobQueue } from '../jobs/ports/queue.ts';
import { openQueue } from './open.ts';

let postgres: TestPostgres;
let redis: TestRedis | undefined;
let databaseUrl: string;
beforeAll(async () => {
  postgres = await startTestPostgres();
  databaseUrl = await postgres.emptyDatabase();
  if (redisServer) redis = await startRedis();
});
afterAll(async () => {
  await redis?.stop();
  await postgres?.stop();
});

const BACKENDS = [
  { name: 'Postgres', missing: null, redisUrl: () => null },
  { name: 'Redis', missing: redisServer ? null : REDIS_MISSING, redisUrl: () => redis!.url },
];

describe.each(BACKENDS)('the queue on $name', ({ redisUrl, missing }) => {
  if (missing) {
    test.skip(missing);
    return;
  }
  const open = () => openQueue({ redisUrl: redisUrl(), databaseUrl });

  async function withQueue(work: (queue: JobQueue) => Promise<void>): Promise<void> {
    const queue = await open();
    try {
      await work(queue);
    } finally {
      await queue.close();
    }
  }

  test('hands each id once to one of its consumers, whatever process put it there', async () => {
    await withQueue(async (producer) =>
      withQueue(async (consumer) => {
        const ids = Array.from({ length: 50 }, (_, i) => `job_${i}`);
        const got: string[] = [];
        const first = await consumer.consume('cpu', 3, async (id) => void got.push(id));
        const second = await producer.consume('cpu', 3, async (id) => void got.push(id));
        await Promise.all(ids.map((id) => producer.enqueue('cpu', id)));
        await expect.poll(() => got.length, { timeout: 20_000 }).toBe(50);
        expect(got.toSorted()).toEqual(ids.toSorted());
        expect(await producer.depth('cpu')).toBe(0);
        await Promise.all([first.close(), second.close()]);
      }),
    );
  });

  test('keeps pools apart, and one entry per id', async () => {
    await withQueue(async (queue) => {
      await queue.enqueue('gpu', 'job_a');
      await queue.enqueue('gpu', 'job_a');
      await queue.enqueue('gpu', 'job_b');
      expect(await queue.depth('gpu')).toBe(2);
      expect(await queue.depth('cpu')).toBe(0);
      const got: string[] = [];
      const consumer = await queue.consume('gpu', 1, async (id) => void got.push(id));
      await expect.poll(() => got.length, { timeout: 10_000 }).toBe(2);
      await queue.enqueue('gpu', 'job_a');
      await expect.poll(() => got.length, { timeout: 10_000 }).toBe(3);
      await consumer.close();
      expect(got.toSorted()).toEqual(['job_a', 'job_a', 'job_b']);
    });
  });

  test('takes no more than the concurrency, and waits for handlers when it closes', async () => {
    await withQueue(async (queue) => {
      let [running, maxRunning, done] = [0, 0, 0];
      const consumer = await queue.consume('cpu', 2, async () => {
        maxRunning = Math.max(maxRunning, ++running);
        await new Promise((resolve) => setTimeout(resolve, 150));
        running--;
        done++;
      });
      await Promise.all(['a', 'b', 'c', 'd'].map((id) => queue.enqueue('cpu', `many_${id}`)));
      await expect.poll(() => running, { timeout: 10_000, interval: 5 }).toBeGreaterThan(0);
      await consumer.close();
      expect(running).toBe(0);
      expect(maxRunning).toBeLessThanOrEqual(2);
      const rest = await queue.consume('cpu', 2, async () => {
        done++;
      });
      await expect.poll(() => done, { timeout: 10_000 }).toBe(4);
      await rest.close();
    });
  });

  test('gives an id again whose handler threw', async () => {
    await withQueue(async (queue) => {
      let tries = 0;
      const consumer = await queue.consume('cpu', 1, async () => {
        if (++tries === 1) throw new Error('the database was away');
      });
      await queue.enqueue('cpu', 'job_again');
      await expect.poll(() => tries, { timeout: 15_000 }).toBe(2);
      await consumer.close();
    });
  });

  test('aborts a handler that has lost its entry', async () => {
    await withQueue(async (queue) => {
      const lost = new Promise<boolean>((resolve, reject) => {
        void queue
          .consume(
            'cpu',
            1,
            (_id, signal) =>
              new Promise<void>((end) => {
                signal.addEventListener('abort', () => {
                  resolve(signal.aborted);
                  end();
                });
              }),
          )
          .catch(reject);
      });
      await queue.enqueue('cpu', 'job_lost');
      await expect.poll(() => queue.depth('cpu'), { timeout: 10_000 }).toBe(0);
      await loseLock();
      expect(await lost).toBe(true);
    });
  });

  /** What a stall does: another takes the entry's lock away. */
  async function loseLock(): Promise<void> {
    if (redisUrl() !== null) {
      const { Redis } = await import('ioredis');
      const client = new Redis(redisUrl() as unknown as string);
      const locks = await client.keys('bull:lathe-cpu:*:lock');
      expect(locks).toHaveLength(1);
      await client.set(locks[0]!, 'another');
      client.disconnect();
    } else {
      const { default: pg } = await import('pg');
      const client = new pg.Client({ connectionString: databaseUrl });
      await client.connect();
      const { rows } = await client.query<{ column_name: string; table_name: string }>(
        `SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'bullmq' AND (column_name LIKE '%lock_token%' OR column_name = 'token')`,
      );
      expect(rows.length, 'a column of lock tokens').toBeGreaterThan(0);
      for (const { table_name, column_name } of rows)
        await client.query(`UPDATE bullmq."${table_name}" SET "${column_name}" = 'another'`);
      await client.end();
    }
  }
});

test.skipIf(!redisServer)('a Redis that comes back is used again', async () => {
  const own = await startRedis();
  const queue = await openQueue({ redisUrl: own.url, databaseUrl });
  try {
    const got: string[] = [];
    const consumer = await queue.consume('cpu', 1, async (id) => void got.push(id));
    await queue.enqueue('cpu', 'before');
    await expect.poll(() => got, { timeout: 10_000 }).toEqual(['before']);
    await own.kill();
    await expect(queue.enqueue('cpu', 'while away')).rejects.toThrow();
    await own.restart();
    await expect
      .poll(
        () =>
          queue.enqueue('cpu', 'after').then(
            () => true,
            () => false,
          ),
        { timeout: 15_000 },
      )
      .toBe(true);
    await expect.poll(() => got, { timeout: 20_000 }).toContain('after');
    await consumer.close();
  } finally {
    await queue.close();
    await own.stop();
  }
});

test('a queue that cannot be reached is told at once', async () => {
  await expect(openQueue({ redisUrl: 'redis://127.0.0.1:1', databaseUrl })).rejects.toThrow(
    'The queue cannot be reached',
  );
});
