/** One of the processes that train together, each on its share of every batch, and what it measures of that. */
import type { SharedGroup } from '../tensor/shared-group.ts';
import { ReplicaLost, type Collective } from './collective.ts';

export interface ReplicaFigures {
  readonly replicas: number;
  /** By replica: its own computing in a training step, without exchange and waiting. */
  readonly stepMs: readonly number[];
  /** The exchange of a training step, for the replica that others waited for. */
  readonly exchangeMs: number;
  /** Share of the time, over all replicas, that they waited for a slower one. */
  readonly waitShare: number;
  readonly steps: number;
}

export interface StepTimes {
  readonly computeMs: number;
  /** Waiting for others included. */
  readonly exchangeMs: number;
}

export interface ReplicaOptions {
  readonly syncBatchNorm: boolean;
  readonly group?: SharedGroup | null;
}

/** The end of a process is known this much later than the failure of an exchange, at most. */
const LOSS_GRACE_MS = 5000;

export class Replica {
  readonly collective: Collective;
  /** Exchanges tensors within the engine; null: they travel by the collective, between two parts of a step. */
  readonly group: SharedGroup | null;
  /** BatchNormalization takes the statistics of the whole batch, not of this replica's share. */
  readonly syncBatchNorm: boolean;
  #steps = 0;
  #computeMs = 0;
  #exchangeMs = 0;
  #figures: ReplicaFigures | null = null;

  constructor(collective: Collective, { syncBatchNorm, group = null }: ReplicaOptions) {
    this.collective = collective;
    this.syncBatchNorm = syncBatchNorm;
    this.group = group;
  }

  /**
   * Why an exchange of tensors failed: the collective knows what became of the processes, a moment later.
   * @param reason what the exchange says
   */
  async lossBehind(reason: string): Promise<Error> {
    const rank = Number(/rank (\d+)/.exec(reason)?.[1] ?? 0);
    const unknown = new Promise<Error>((resolve) =>
      setTimeout(() => resolve(new ReplicaLost(rank, reason)), LOSS_GRACE_MS),
    );
    const known = this.collective.barrier().then(
      () => unknown,
      (error: unknown) => (error instanceof Error ? error : unknown),
    );
    return Promise.race([known, unknown]);
  }

  /** Adds a training step to what `share` tells the others. */
  record({ computeMs, exchangeMs }: StepTimes): void {
    this.#steps++;
    this.#computeMs += computeMs;
    this.#exchangeMs += exchangeMs;
  }

  /** Figures of all replicas so far, as last shared; null before that. */
  get figures(): ReplicaFigures | null {
    return this.#figures;
  }

  /** All ranks call it: exchanges what each has measured. */
  async share(): Promise<void> {
    const { rank, size } = this.collective;
    const own = new Float64Array(2 * size);
    own[rank] = this.#computeMs;
    own[size + rank] = this.#exchangeMs;
    const all = await this.collective.sum(own);
    if (this.#steps > 0) this.#figures = figuresOf(all.subarray(0, size), all.subarray(size), this.#steps);
  }
}

/** The replica that spent the least time in exchanges is the one that the others waited for. */
function figuresOf(compute: Float64Array, exchange: Float64Array, steps: number): ReplicaFigures {
  const sum = (values: Float64Array) => values.reduce((total, value) => total + value, 0);
  const least = Math.min(...exchange);
  const waited = sum(exchange) - least * exchange.length;
  return {
    replicas: compute.length,
    stepMs: [...compute].map((value) => value / steps),
    exchangeMs: least / steps,
    waitShare: waited / Math.max(Number.MIN_VALUE, sum(compute) + sum(exchange)),
    steps,
  };
}
