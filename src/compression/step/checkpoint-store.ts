/** Where a step keeps what it needs to go on after a kill. Bytes are the technique's own; `save` is atomic. */
export interface CheckpointStore {
  save(bytes: Uint8Array): Promise<void>;
  load(): Promise<Uint8Array | null>;
}
