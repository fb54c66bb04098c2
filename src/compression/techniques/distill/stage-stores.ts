/** One store for two successive trainings: each checkpoint says which one it belongs to. */
import type { CheckpointStore } from '../../step/checkpoint-store.ts';

/**
 * The first stage loads its own checkpoints, or its last one if the second has begun; the second loads only its own.
 */
export function stageStores(store: CheckpointStore): [CheckpointStore, CheckpointStore] {
  let end: Uint8Array | null = null; // of the first stage
  const saved = async (): Promise<Saved | null> => parse(await store.load());
  return [
    {
      load: async () => (await saved())?.first ?? null,
      save: async (bytes) => {
        end = bytes;
        await store.save(joined(bytes, null));
      },
    },
    {
      load: async () => (await saved())?.second ?? null,
      save: async (bytes) => store.save(joined(end ?? (await saved())?.first ?? new Uint8Array(), bytes)),
    },
  ];
}

interface Saved {
  readonly first: Uint8Array;
  readonly second: Uint8Array | null;
}

/** uint32 length of the first, the first, then the second where there is one. */
function joined(first: Uint8Array, second: Uint8Array | null): Uint8Array {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(first.length);
  return Buffer.concat([header, first, second ?? new Uint8Array()]);
}

function parse(bytes: Uint8Array | null): Saved | null {
  if (!bytes) return null;
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE(0);
  const second = bytes.subarray(4 + length);
  return { first: bytes.subarray(4, 4 + length), second: second.length > 0 ? second : null };
}
