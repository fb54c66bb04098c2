/** How the workers of an asynchronous training spent their time, for the report. */

interface Times {
  readonly since: number;
  until: number;
  handedOutAt: number;
  batches: number;
  samples: number;
  computeMs: number;
  /** From handing out to the result. */
  busyMs: number;
}

export interface TimeFigures {
  readonly stepMs: number[];
  readonly exchangeMs: number;
  readonly waitShare: number;
  readonly samplesPerSecond: number[];
}

export class WorkerTimes {
  readonly #times = new Map<string, Times>();

  joined(worker: string, now: number): void {
    const times = { since: now, until: now, handedOutAt: now, batches: 0, samples: 0, computeMs: 0, busyMs: 0 };
    this.#times.set(worker, times);
  }

  handedOut(worker: string, now: number): void {
    const times = this.#times.get(worker);
    if (times) times.handedOutAt = now;
  }

  received(worker: string, result: { batches: number; samples: number; computeMs: number }, now: number): void {
    const times = this.#times.get(worker);
    if (!times) return;
    times.batches += result.batches;
    times.samples += result.samples;
    times.computeMs += result.computeMs;
    times.busyMs += now - times.handedOutAt;
    times.until = now;
  }

  figures(): TimeFigures {
    const all = [...this.#times.values()].filter(({ batches }) => batches > 0);
    const sum = (value: (times: Times) => number) => all.reduce((total, times) => total + value(times), 0);
    const batches = Math.max(
      1,
      sum((times) => times.batches),
    );
    const present = sum(({ until, since }) => until - since);
    return {
      stepMs: all.map((times) => times.computeMs / times.batches),
      exchangeMs: sum(({ busyMs, computeMs }) => Math.max(0, busyMs - computeMs)) / batches,
      waitShare: present > 0 ? Math.max(0, 1 - sum(({ busyMs }) => busyMs) / present) : 0,
      samplesPerSecond: all.map(({ samples, until, since }) => (1000 * samples) / Math.max(1, until - since)),
    };
  }
}
