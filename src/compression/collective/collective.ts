/**
 * Communication among the replicas of one training: processes that run the same program and so make the same calls in
 * the same order. Transports implement it; training knows nothing else of them.
 */

/** Values that are summed: float32 for tensors, float64 for figures. */
export type SummableArray = Float32Array | Float64Array;

export interface Collective {
  /** This process among those that live: 0 to `size` - 1. Rank 0 leads: it reports and writes checkpoints. */
  readonly rank: number;
  readonly size: number;
  /**
   * Elementwise sums over all ranks, added in the order of ranks: every rank gets the same bytes. All ranks give arrays
   * of one type and length. Neither the argument nor the result may be changed afterwards.
   * @throws MembersChanged, ReplicaLost, or the reason of an abort
   */
  sum<A extends SummableArray>(values: A): Promise<A>;
  /**
   * Rank 0's bytes on every rank; what others give is not looked at.
   * @throws MembersChanged, ReplicaLost, or the reason of an abort
   */
  broadcast(bytes: Uint8Array): Promise<Uint8Array>;
  /** Resolves when every rank has called it. @throws MembersChanged, ReplicaLost, or the reason of an abort */
  barrier(): Promise<void>;
}

/** A replica is gone, and the others do not go on without it. */
export class ReplicaLost extends Error {
  readonly rank: number;
  constructor(rank: number, detail: string) {
    super(`Replica ${rank} is gone: ${detail}`);
    this.name = 'ReplicaLost';
    this.rank = rank;
  }
}

/**
 * A replica is gone, and the others go on: the call had no effect on any of them. `rank` and `size` of the collective
 * are now those of the new group.
 */
export class MembersChanged extends Error {
  constructor(size: number) {
    super(`The group of replicas has changed: ${size} go on`);
    this.name = 'MembersChanged';
  }
}

/** Repeats a call that depends on nothing but the group, until the group stays the same meanwhile. */
export async function amongAll<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof MembersChanged)) throw error;
    }
  }
}
