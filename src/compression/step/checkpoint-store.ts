/** Keeps what a step needs to continue after a kill. The technique defines the bytes; `save` is atomic. */
export interface CheckpointStore {
  save(bytes: Uint8Array): Promise<void>;
  load(): Promise<Uint8Array | null>;
}
