/** One of the processes that train together, each on its share of every batch, and what it measures of that. */
import type { Collective } from './collective.ts';

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

export class Replica {
  readonly collective: Collective;
  /** BatchNormalization takes the statistics of the whole batch, not of this replica's share. */
  readonly syncBatchNorm: boolean;
  #steps = 0;
  #computeMs = 0;
  #exchangeMs = 0;
  #figures: ReplicaFigures | null = null;

  constructor(collective: Collective, { syncBatchNorm }: { readonly syncBatchNorm: boolean }) {
    this.collective = collective;
    this.syncBatchNorm = syncBatchNorm;
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
