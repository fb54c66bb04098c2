/** The context of a technique applied outside a job. */
import type { Dataset } from '../../src/compression/data/dataset.ts';
import type { Model } from '../../src/compression/ir/types.ts';
import type { CheckpointStore } from '../../src/compression/step/checkpoint-store.ts';
import type { ModelState } from '../../src/compression/step/model-state.ts';
import type { StepContext, StepEvidence, StepProgress } from '../../src/compression/step/step-context.ts';

export function memoryCheckpoints(): CheckpointStore {
  let saved: Uint8Array | null = null;
  return {
    save: async (bytes) => {
      saved = bytes.slice();
    },
    load: async () => saved,
  };
}

export function initialState(model: Model): ModelState {
  return { model, frozenZeros: new Set(), kept: new Map(), quantized: false };
}

export type TestContext = StepContext & {
  readonly warnings: string[];
  readonly progress: StepProgress[];
  readonly evidence: StepEvidence[];
};

export function contextFor(model: Model, dataset: Dataset | null, more: Partial<StepContext> = {}): TestContext {
  const warnings: string[] = [];
  const progress: StepProgress[] = [];
  const evidence: StepEvidence[] = [];
  return {
    seed: 3,
    dataset,
    transform: {},
    training: { batchSize: 16, learningRate: 0.01 },
    loader: { numWorkers: 0 },
    original: model,
    loadModel: async (id) => {
      throw new Error(`no model ${id}`);
    },
    checkpoints: memoryCheckpoints(),
    signal: new AbortController().signal,
    report: (item) => progress.push(item),
    record: (item) => evidence.push(item),
    warn: (code) => warnings.push(code),
    warnings,
    progress,
    evidence,
    ...more,
  };
}
