/**
 * A step's records in its checkpoint store: the technique's own checkpoints, finally its result. Each record begins
 * with a byte for its kind and the key of the step that wrote it (32 bytes); under another key it counts as absent. A
 * result continues with a JSON header (length first, uint32 little-endian) and the ONNX file.
 */
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import type { KeptIndices } from '../graph/channels/remove.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepEvidence } from '../step/step-context.ts';

/** A step's warning, without the step's position in the recipe. */
export interface StepWarning {
  readonly code: string;
  readonly message: string;
}

export interface FinishedStep {
  /** ONNX. */
  readonly bytes: Uint8Array;
  readonly state: ModelState;
  readonly warnings: readonly StepWarning[];
  readonly evidence: StepEvidence;
}

export interface StepRecords {
  /** The store as the technique sees it. */
  readonly checkpoints: CheckpointStore;
  saveFinished(step: FinishedStep): Promise<void>;
  /** null: the step has not finished. */
  loadFinished(): Promise<FinishedStep | null>;
}

/** 1 and 2 were records without a key. */
const KINDS = { running: 3, finished: 4 } as const;
type Kind = keyof typeof KINDS;

/** @param key hexadecimal SHA-256 */
export function stepRecords(store: CheckpointStore, key: string): StepRecords {
  const save = (kind: Kind, parts: readonly Uint8Array[]) => store.save(Buffer.concat([prefixOf(kind, key), ...parts]));
  const load = async (kind: Kind): Promise<Buffer | null> => {
    const record = await store.load();
    const prefix = prefixOf(kind, key);
    if (!record || !prefix.equals(record.subarray(0, prefix.length))) return null;
    return Buffer.from(record.buffer, record.byteOffset + prefix.length, record.byteLength - prefix.length);
  };
  return {
    checkpoints: { save: (bytes) => save('running', [bytes]), load: () => load('running') },
    saveFinished: (step) => save('finished', encode(step)),
    loadFinished: async () => {
      const record = await load('finished');
      return record && decode(record);
    },
  };
}

/** A state as bytes, for another process. */
export function encodeState(state: ModelState): Uint8Array {
  return Buffer.concat(encode({ bytes: writeOnnx(state.model), state, warnings: [], evidence: {} }));
}

export function decodeState(bytes: Uint8Array): ModelState {
  return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)).state;
}

function prefixOf(kind: Kind, key: string): Buffer {
  return Buffer.concat([Buffer.of(KINDS[kind]), Buffer.from(key, 'hex')]);
}

interface Header {
  readonly frozenZeros: readonly string[];
  readonly kept: readonly (readonly [string, KeptIndices])[];
  readonly quantized: boolean;
  readonly warnings: readonly StepWarning[];
  readonly evidence: StepEvidence;
}

function encode({ bytes, state, warnings, evidence }: FinishedStep): Uint8Array[] {
  const { frozenZeros, kept, quantized } = state;
  const header: Header = { frozenZeros: [...frozenZeros], kept: [...kept], quantized, warnings, evidence };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return [length, text, bytes];
}

function decode(record: Buffer): FinishedStep {
  const end = 4 + record.readUInt32LE(0);
  const { warnings, evidence, ...header } = JSON.parse(record.toString('utf8', 4, end)) as Header;
  const bytes = new Uint8Array(record.subarray(end));
  const { frozenZeros, kept, quantized } = header;
  const state = { model: readOnnx(bytes), frozenZeros: new Set(frozenZeros), kept: new Map(kept), quantized };
  return { bytes, state, warnings, evidence };
}
