/** Checks that a service leaves only its database, its logs, its key and the blobs that its rows name. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { TestClient } from './client.ts';

const BLOB = /^[0-9a-f]{64}$/;

interface Page {
  readonly items: readonly { readonly sha256: string }[];
}

/**
 * Paths, relative to `home`, of scratch folders, unfinished uploads and blobs that no model, dataset or artifact names.
 */
export async function leftovers(home: string, client: TestClient): Promise<string[]> {
  const named = new Set<string>();
  for (const resource of ['models', 'datasets', 'artifacts']) {
    const { items } = await client.get<Page>(`/v1/${resource}`, { limit: '100' });
    for (const { sha256 } of items) named.add(sha256);
  }
  return ['scratch', 'artifacts', 'blobs', 'uploads', 'tmp']
    .flatMap((folder) => filesUnder(join(home, folder)))
    .filter((path) => !(BLOB.test(basename(path)) && named.has(basename(path))))
    .map((path) => path.slice(home.length + 1));
}

function filesUnder(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile());
}

/** Retries `check` until it passes; throws its last error after `milliseconds`. */
export async function eventually<T>(milliseconds: number, check: () => Promise<T> | T): Promise<T> {
  const until = Date.now() + milliseconds;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
