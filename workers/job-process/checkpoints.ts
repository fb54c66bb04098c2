/** Checkpoints as files: each appears whole, by a rename, and outlives the process that wrote it. */
import { mkdirSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckpointStore } from '../../src/compression/step/checkpoint-store.ts';

export function fileCheckpoint(folder: string, name: string): CheckpointStore {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${name}.bin`);
  return {
    async save(bytes) {
      const unfinished = `${path}.${process.pid}`;
      const file = await open(unfinished, 'w');
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
    },
    async load() {
      try {
        return await readFile(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    },
  };
}
