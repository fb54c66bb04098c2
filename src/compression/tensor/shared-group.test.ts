/** Groups of real processes. Sums are held against exact ones, bit for bit. */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { newPath, runRanks, startRanks } from '../../../test/support/shared-ranks.ts';
import { startEngine } from './engine.ts';
import { findEngineBuild } from './native/binding.ts';
import { joinSharedGroup } from './shared-group.ts';
import { tf } from './tf.ts';

interface Failure {
  readonly message: string;
  readonly ms: number;
  readonly failure: string | null;
}

const ONE_THREAD = { TF_NUM_INTEROP_THREADS: '1' };
/** A compiled step needs two equal recordings, as does each of the five steps of `sums` on every other round. */
const ROUNDS = 40;

const isBuilt = (await findEngineBuild('cpu')) !== null;

describe.skipIf(!isBuilt)('a shared group of processes', () => {
  test.each([
    { size: 2, environment: {} },
    { size: 3, environment: ONE_THREAD },
    { size: 4, environment: {}, capacityBytes: 2 ** 14 },
  ])('of $size sums and broadcasts exactly, eager and compiled', async ({ size, environment, capacityBytes }) => {
    type Result = { wrong: number; leaked: number; hash: string; compiled: number[] };
    const ranks = await runRanks<Result>('sums', size, { rounds: ROUNDS, capacityBytes }, environment);
    expect(ranks.map(({ wrong, leaked }) => [wrong, leaked])).toEqual(ranks.map(() => [0, 0]));
    expect(new Set(ranks.map(({ hash }) => hash)).size).toBe(1);
    expect(ranks[0]!.compiled).toEqual([1, 1, 1, 1, 1]);
  });

  test.each([2, 3])('of %i computes the same in 1,000 rounds, with one thread for operations', async (size) => {
    type Result = { wrong: number; least: number; most: number; compiled: number };
    const ranks = await runRanks<Result>('many', size, { rounds: 1000 }, ONE_THREAD);
    const total = size * Array.from({ length: 1000 }, (_, round) => round % 16).reduce((a, b) => a + b);
    expect(ranks).toEqual(ranks.map(() => ({ wrong: 0, least: total, most: total, compiled: 1 })));
  });

  test.each([false, true])('differentiates sums (compiled: %s)', async (compiled) => {
    type Result = { results: number[][]; compiled: number };
    const size = 3;
    const ranks = await runRanks<Result>('gradient', size, { compiled });
    // y = [1, 2, 3] * (1 + 2 + 3), z = [0 + 1 + 2, -3]
    const [y, z] = [
      [6, 12, 18],
      [3, -3],
    ];
    const squares = y.reduce((sum, each) => sum + each * each, 0);
    ranks.forEach(({ results }, rank) => {
      expect(results[0]).toEqual([squares * (0.5 + rank) + (z[0]! + z[1]!) * (rank + 5)]);
      expect(results[1]).toEqual(y.map((each) => 2 * each * (0.5 + 1.5 + 2.5)));
      expect(results[2]).toEqual([5 + 6 + 7, 5 + 6 + 7]);
    });
    if (compiled) expect(ranks.map((each) => each.compiled)).toEqual([1, 1, 1]);
  });

  test('stands beside another one, and runs what only one rank needs', async () => {
    const ranks = await runRanks<{ seen: number[]; compiled: number }>('twoGroups', 2, null, ONE_THREAD);
    const last = (i: number) => 2 * (4 * i + 2 * i);
    expect(ranks[0]).toEqual({ seen: [1, 2, 3, 4, 5, 6].flatMap((i) => [last(i), 6 * i]), compiled: 1 });
    expect(ranks[1]).toEqual({ seen: [1, 2, 3, 4, 5, 6].map(last), compiled: 1 });
  });
});

describe.skipIf(!isBuilt)('a rank of a shared group', () => {
  test.each([
    { size: 2, victim: 1, compiled: false },
    { size: 3, victim: 0, compiled: true },
  ])(
    'that is killed fails the others at once ($size ranks, compiled: $compiled)',
    async ({ size, victim, compiled }) => {
      const { path, children, outcomes } = startRanks<Failure>('killed', size, { victim, compiled });
      for (const [rank, { value, signal }] of (await outcomes).entries()) {
        if (rank === victim) {
          expect(signal).toBe('SIGKILL');
          continue;
        }
        const reason = `rank ${victim} (process ${children[victim]!.pid}) has ended`;
        expect(value!.message).toContain(`shared group: ${reason}`);
        expect(value!.failure).toBe(reason);
        expect(value!.ms).toBeLessThan(10_000);
      }
      expect(existsSync(path)).toBe(false);
    },
  );

  test('that aborts gives all the reason', async () => {
    for (const { message, failure } of await runRanks<Failure>('aborted', 3)) {
      expect(message).toContain('rank 1 aborted: the dataset is gone');
      expect(failure).toBe('rank 1 aborted: the dataset is gone');
    }
  });

  test('that does not come in time is named', async () => {
    const ranks = await runRanks<Failure>('late', 2);
    for (const { message } of ranks) expect(message).toMatch(/rank 1 \(process \d+\) did not answer within 1500 ms/);
    expect(ranks[0]!.ms).toBeGreaterThan(1400);
  });

  test('that leaves is named', async () => {
    const [rank0, rank1] = await runRanks<Failure>('left', 2);
    expect(rank0!.message).toMatch(/rank 1 \(process \d+\) has left the group/);
    expect(rank1!.message).toContain('shared group: the group was closed');
  });

  test('that calls something else fails all, with both calls named', async () => {
    for (const { message } of await runRanks<Failure>('different', 2))
      expect(message).toMatch(
        /rank [01] .* calls (broadcast of 12|sum of 8) bytes.* where rank [01] .* calls (broadcast of 12|sum of 8) bytes/,
      );
  });

  test('goes on in a new, smaller group with its compiled step', async () => {
    const { path, outcomes } = startRanks<Record<string, unknown>>('rejoined', 3);
    const [rank0, rank1] = await outcomes;
    for (const [rank, { value }] of [rank0!, rank1!].entries()) {
      expect(value).toMatchObject({ before: [6, 6, 6], after: [3, 3] });
      expect(value!['message']).toMatch(/rank 2 \(process \d+\) has ended/);
      expect(value!['state']).toEqual({ failure: null, rank, size: 2, compiled: 1 });
    }
    expect([path, `${path}-2`].filter(existsSync)).toEqual([]);
  });

  test('waits for the others only as long as it should, and leaves nothing behind', async () => {
    const { path, outcomes } = startRanks<Failure>('alone', 1, { timeoutMs: 1000 });
    const [{ value }] = (await outcomes) as [{ value: Failure }];
    expect(value.message).toBe('shared group: rank 1 did not join within 1000 ms');
    expect(existsSync(path)).toBe(false);
  });

  test.skipIf(process.platform !== 'linux')('sees the end of rank 0 while the group is formed', async () => {
    const { path, children, outcomes } = startRanks('forming', 2);
    const [, rank1] = await outcomes;
    expect(rank1!.error).toContain(`shared group: rank 0 (process ${children[0]!.pid}) has ended`);
    expect(existsSync(path)).toBe(false);
  });
});

describe.skipIf(!isBuilt)('joining a shared group', () => {
  beforeAll(async () => {
    await startEngine('tensorflow');
  });

  test('alone sums and broadcasts what it has', async () => {
    const path = newPath();
    const group = joinSharedGroup({ path, rank: 0, size: 1 });
    const x = tf.tensor1d([1, -2.5, 3]);
    expect([...group.sum([x])[0]!.dataSync(), ...group.broadcast([x], 0)[0]!.dataSync()]).toEqual([
      1, -2.5, 3, 1, -2.5, 3,
    ]);
    await group.barrier();
    expect(existsSync(path)).toBe(false);
    group.close();
    await expect(async () => group.barrier()).rejects.toThrow('shared group: the group was closed');
  });

  test('replaces a file that nobody holds, and removes its own', () => {
    const path = newPath();
    writeFileSync(path, 'left by a process that was killed');
    const group = joinSharedGroup({ path, rank: 0, size: 2, capacityBytes: 2 ** 16 });
    expect(statSync(path).size).toBeGreaterThan(2 * 2 * 2 ** 16);
    expect(() => joinSharedGroup({ path, rank: 0, size: 2 })).toThrow(`another group is being formed at ${path}`);
    group.close();
    expect(readdirSync(dirname(path)).filter((name) => path.endsWith(name))).toEqual([]);
  });

  test('refuses what cannot be', () => {
    const path = newPath();
    expect(() => joinSharedGroup({ path, rank: 2, size: 2 })).toThrow('rank is 2; a group of 2 has 0 to 1');
    expect(() => joinSharedGroup({ path, rank: 0, size: 65 })).toThrow('1 to 64 ranks; 65 were asked for');
    expect(() => joinSharedGroup({ path: '/nowhere/group', rank: 0, size: 2 })).toThrow(
      'shared group: cannot create /nowhere/group: No such file or directory',
    );
    expect(() => joinSharedGroup({ path, rank: 0, size: 2, capacityBytes: 2 ** 44 })).toThrow(
      /cannot reserve \d+ bytes of shared memory at .*: (No space left|File too large|Cannot allocate)/,
    );
    expect(existsSync(path)).toBe(false);
    const group = joinSharedGroup({ path, rank: 0, size: 1 });
    expect(() => group.sum([tf.tensor1d([1], 'int32')])).toThrow('sum float32 tensors; one is int32');
    expect(() => group.broadcast([tf.tensor1d([true], 'bool')], 0)).toThrow('one is bool');
    expect(() => group.broadcast([tf.scalar(1)], 1)).toThrow('root is 1; a group of 1 has 0 to 0');
    group.close();
  });
});
