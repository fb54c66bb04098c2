/** Keeps a claim alive by heartbeats, and tells when it is over: taken by another, or to be canceled. */

export type LeaseEnd = 'lost' | 'cancel-requested';

export interface LeaseSettings {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
}

export class Lease {
  readonly #beat: () => Promise<'ok' | 'cancel-requested' | 'lost'>;
  readonly #settings: LeaseSettings;
  /** Resolves when `end` is set. */
  readonly ended: Promise<void>;
  #resolveEnded: () => void = () => undefined;
  #end: LeaseEnd | null = null;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #renewedAt = Date.now();

  constructor(beat: () => Promise<'ok' | 'cancel-requested' | 'lost'>, settings: LeaseSettings) {
    this.#beat = beat;
    this.#settings = settings;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#schedule();
  }

  get end(): LeaseEnd | null {
    return this.#end;
  }

  /** Called when another write of this claim was refused as stale. */
  lose(): void {
    this.#finish('lost');
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped || this.#end === 'lost') return;
    this.#timer = setTimeout(() => void this.#renew(), this.#settings.heartbeatMs);
  }

  /**
   * While the database does not answer, the lease expires here as it does there, counted from before the last renewal
   * was sent.
   */
  async #renew(): Promise<void> {
    const sentAt = Date.now();
    try {
      const answer = await withTimeout(this.#beat(), this.#settings.leaseMs / 2);
      if (answer === 'ok') this.#renewedAt = sentAt;
      else this.#finish(answer);
      if (answer === 'cancel-requested') this.#renewedAt = sentAt;
    } catch {
      if (Date.now() - this.#renewedAt > this.#settings.leaseMs) this.#finish('lost');
    }
    this.#schedule();
  }

  #finish(end: LeaseEnd): void {
    if (this.#stopped || this.#end === 'lost') return;
    this.#end = end;
    this.#resolveEnded();
  }
}

function withTimeout<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}
