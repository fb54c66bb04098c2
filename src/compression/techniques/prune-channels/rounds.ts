/**
 * The state of a step of several rounds, stored so that it continues after a kill: the model at the beginning of the
 * current round, and its training.
 */
import type { KeptIndices } from '../../graph/channels/remove.ts';
import { readOnnx } from '../../formats/onnx/read.ts';
import { writeOnnx } from '../../formats/onnx/write.ts';
import type { CheckpointStore } from '../../step/checkpoint-store.ts';
import type { ModelState } from '../../step/model-state.ts';

export interface RoundState {
  /** Counts from 0; the state is pruned for it and not yet trained. */
  readonly round: number;
  readonly state: ModelState;
  /** The training's own checkpoint. */
  readonly training: Uint8Array | null;
}

interface Header {
  readonly round: number;
  readonly frozenZeros: readonly string[];
  readonly kept: readonly (readonly [string, KeptIndices])[];
  readonly modelBytes: number;
}

/** The current round; null if the step has not begun. */
export async function resumeRound(store: CheckpointStore, before: ModelState): Promise<RoundState | null> {
  const bytes = await store.load();
  if (!bytes) return null;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 4 + buffer.readUInt32LE(0);
  const { round, frozenZeros, kept, modelBytes } = JSON.parse(buffer.toString('utf8', 4, start)) as Header;
  const training = buffer.subarray(start + modelBytes);
  const model = readOnnx(new Uint8Array(buffer.subarray(start, start + modelBytes)));
  return {
    round,
    training: training.length > 0 ? training : null,
    state: { ...before, model, frozenZeros: new Set(frozenZeros), kept: new Map(kept) },
  };
}

/** Marks the beginning of a round's training. @returns the store of that training */
export async function beginRound(
  store: CheckpointStore,
  { round, state, training }: RoundState,
): Promise<CheckpointStore> {
  const model = writeOnnx(state.model);
  const header = Buffer.from(
    JSON.stringify({
      round,
      frozenZeros: [...state.frozenZeros],
      kept: [...state.kept],
      modelBytes: model.length,
    } satisfies Header),
  );
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const save = (bytes: Uint8Array): Promise<void> => store.save(Buffer.concat([length, header, model, bytes]));
  if (!training) await save(new Uint8Array());
  let known = training;
  return {
    load: () => Promise.resolve(known),
    save: async (bytes) => {
      await save(bytes);
      known = bytes;
    },
  };
}
