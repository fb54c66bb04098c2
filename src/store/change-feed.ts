/**
 * Postgres tells at each commit which job has new events (triggers of the migrations), over one connection for the
 * whole process.
 */
import pg from 'pg';
import type { ChangeFeed } from '../jobs/ports/change-feed.ts';

const RECONNECT_MS = 1000;

export class PostgresChangeFeed implements ChangeFeed {
  readonly #url: string;
  readonly #byJob = new Map<string, Set<() => void>>();
  readonly #byOutbox = new Set<() => void>();
  #client: pg.Client | null = null;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(databaseUrl: string) {
    this.#url = databaseUrl;
    void this.#connect();
  }

  onEvent(jobId: string, wake: () => void): () => void {
    const followers = this.#byJob.get(jobId) ?? new Set();
    this.#byJob.set(jobId, followers.add(wake));
    return () => {
      followers.delete(wake);
      if (followers.size === 0 && this.#byJob.get(jobId) === followers) this.#byJob.delete(jobId);
    };
  }

  onOutbox(wake: () => void): () => void {
    this.#byOutbox.add(wake);
    return () => this.#byOutbox.delete(wake);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#client?.end().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: 5000,
      keepAlive: true,
      application_name: 'lathe-feed',
    });
    this.#client = client;
    client.on('error', () => undefined); // the end that follows is what counts
    client.once('end', () => this.#reconnect());
    client.on('notification', ({ channel, payload }) => this.#wake(channel, payload ?? ''));
    try {
      await client.connect();
      await client.query('LISTEN lathe_events; LISTEN lathe_outbox');
      this.#wakeAll(); // whatever was missed while there was no connection
    } catch {
      await client.end().catch(() => undefined);
      this.#reconnect();
    }
  }

  #reconnect(): void {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), RECONNECT_MS);
  }

  #wake(channel: string, payload: string): void {
    const followers = channel === 'lathe_outbox' ? this.#byOutbox : this.#byJob.get(payload);
    for (const wake of followers ?? []) wake();
  }

  #wakeAll(): void {
    for (const wake of [...this.#byOutbox, ...[...this.#byJob.values()].flatMap((followers) => [...followers])]) wake();
  }
}
