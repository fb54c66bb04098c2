/**
 * What a step leaves in its checkpoint store: first the technique's own checkpoints, at last its result. One byte tells
 * which; a result follows as a JSON header (length first, uint32 little-endian) and the ONNX file.
 */
import type { ReportWarning } from '../../contracts/report.ts';
import type { KeptIndices } from '../graph/channels/remove.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepEvidence } from '../step/step-context.ts';

export interface FinishedStep {
  readonly bytes: Uint8Array;
  readonly state: ModelState;
  readonly warnings: readonly ReportWarning[];
  readonly evidence: StepEvidence;
}

const RUNNING = 1;
const FINISHED = 2;

/** The store as the technique sees it. */
export function techniqueCheckpoints(store: CheckpointStore): CheckpointStore {
  return {
    save: (bytes) => store.save(Buffer.concat([Buffer.of(RUNNING), bytes])),
    load: async () => {
      const bytes = await store.load();
      return bytes && bytes[0] === RUNNING ? bytes.subarray(1) : null;
    },
  };
}

export async function saveFinished(
  store: CheckpointStore,
  { bytes, state, warnings, evidence }: FinishedStep,
): Promise<void> {
  const header = Buffer.from(
    JSON.stringify({
      frozenZeros: [...state.frozenZeros],
      kept: [...state.kept],
      quantized: state.quantized,
      warnings,
      evidence,
    }),
  );
  const start = Buffer.alloc(5);
  start[0] = FINISHED;
  start.writeUInt32LE(header.length, 1);
  await store.save(Buffer.concat([start, header, bytes]));
}

/** null: the step has not finished. */
export async function loadFinished(store: CheckpointStore): Promise<FinishedStep | null> {
  const record = await store.load();
  if (!record || record[0] !== FINISHED) return null;
  const buffer = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const end = 5 + buffer.readUInt32LE(1);
  const { frozenZeros, kept, quantized, warnings, evidence } = JSON.parse(buffer.toString('utf8', 5, end)) as {
    frozenZeros: string[];
    kept: [string, KeptIndices][];
    quantized: boolean;
    warnings: ReportWarning[];
    evidence: StepEvidence;
  };
  const bytes = new Uint8Array(buffer.subarray(end));
  return {
    bytes,
    warnings,
    evidence,
    state: { model: readOnnx(bytes), frozenZeros: new Set(frozenZeros), kept: new Map(kept), quantized },
  };
}
