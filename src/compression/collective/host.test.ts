import { duplexPair } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { amongAll, MembersChanged, ReplicaLost, type Collective } from './collective.ts';
import { HostLeader, type LossRule } from './host-leader.ts';
import { HostMember } from './host-member.ts';

function group(size: number, onLoss: LossRule = 'fail'): { leader: HostLeader; all: Collective[] } {
  const pairs = Array.from({ length: size - 1 }, () => duplexPair());
  const leader = new HostLeader(
    pairs.map(([ours]) => ours),
    onLoss,
  );
  return { leader, all: [leader, ...pairs.map(([, theirs], i) => new HostMember(theirs, i + 1, size))] };
}

/** 0.1 + 0.2 + 0.3 and the like: what the order of additions shows in. */
const valuesOf = (rank: number, length: number) => Float32Array.from({ length }, (_, i) => (i + 1) / (rank + 3) / 7);

describe('the host transport', () => {
  test.each([1, 2, 3, 5])('sums over %i ranks in their order, the same bytes everywhere', async (size) => {
    const { all } = group(size);
    for (const length of [0, 1, 1000, 300_000]) {
      const sums = await Promise.all(all.map((each) => each.sum(valuesOf(each.rank, length))));
      const expected = new Float32Array(length);
      for (let rank = 0; rank < size; rank++) valuesOf(rank, length).forEach((value, i) => (expected[i]! += value));
      for (const sum of sums) expect(Buffer.from(sum.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    }
  });

  test('sums figures in double precision', async () => {
    const { all } = group(2);
    const sums = await Promise.all(all.map((each) => each.sum(Float64Array.of(1 + 2 ** -40, each.rank))));
    expect(sums.map((sum) => [...sum])).toEqual([
      [2 + 2 ** -39, 1],
      [2 + 2 ** -39, 1],
    ]);
  });

  test("gives rank 0's bytes to all, in the order of the calls", async () => {
    const { all } = group(3);
    const received = await Promise.all(
      all.map(async (each) => {
        const mine = Uint8Array.of(each.rank, 7);
        const first = await each.broadcast(mine);
        await each.barrier();
        return [[...first], [...(await each.broadcast(Uint8Array.of(9)))]];
      }),
    );
    for (const each of received) expect(each).toEqual([[0, 7], [9]]);
  });

  test('a call waits for the slowest', async () => {
    const { all } = group(2);
    let done = false;
    const first = all[0]!.barrier().then(() => (done = true));
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(done).toBe(false);
    await Promise.all([first, all[1]!.barrier()]);
  });

  test('a lost replica fails the call in progress and all later ones, by its rank', async () => {
    const { leader } = group(3);
    const call = leader.sum(Float32Array.of(1));
    leader.lose(2, 'signal SIGKILL');
    await expect(call).rejects.toThrow(new ReplicaLost(2, 'signal SIGKILL'));
    await expect(leader.broadcast(Uint8Array.of(1))).rejects.toThrow('Replica 2 is gone: signal SIGKILL');
  });

  test('a closed connection counts as a lost replica', async () => {
    const [ours, theirs] = duplexPair();
    const [leader, member] = [new HostLeader([ours], 'fail'), new HostMember(theirs, 1, 2)];
    theirs.destroy();
    await expect(member.barrier()).rejects.toThrow('Replica 0 is gone');
    ours.destroy();
    await expect(leader.barrier()).rejects.toThrow('Replica 1 is gone: its connection closed');
  });

  test('replicas that exchange different things are told so', async () => {
    const { all } = group(2);
    void all[1]!.sum(new Float32Array(2));
    await expect(all[0]!.sum(new Float32Array(3))).rejects.toThrow('they do not train the same');
  });

  test('shrinks: the call in progress has no effect on anyone, ranks close up, and it is repeated', async () => {
    const { leader, all } = group(4, 'shrink');
    const living = [all[0]!, all[1]!, all[3]!];
    const calls = living.map(async (each, i) => {
      const results: number[] = [(await each.sum(Float32Array.of(1)))[0]!];
      await expect(each.sum(Float32Array.of(1))).rejects.toThrow(MembersChanged);
      expect([each.rank, each.size]).toEqual([i, 3]);
      return [
        ...results,
        (await each.sum(Float32Array.of(each.rank)))[0]!,
        (await each.broadcast(Uint8Array.of(5)))[0]!,
      ];
    });
    expect((await all[2]!.sum(Float32Array.of(1)))[0]).toBe(4);
    await new Promise((resolve) => setTimeout(resolve, 20)); // the others are in their second call
    leader.lose(2, 'gone');
    for (const result of await Promise.all(calls)) expect(result).toEqual([4, 3, 5]);
  });

  test('shrinks twice before anyone notices, down to rank 0 alone', async () => {
    const { leader, all } = group(3, 'shrink');
    leader.lose(1, 'gone');
    const both = Promise.all([all[0]!, all[2]!].map((each) => amongAll(() => each.sum(Float32Array.of(2)))));
    expect((await both).map(([sum]) => sum)).toEqual([4, 4]);
    leader.lose(2, 'gone');
    expect([...(await amongAll(() => leader.sum(Float32Array.of(2))))]).toEqual([2]);
    expect(leader.size).toBe(1);
  });
});
