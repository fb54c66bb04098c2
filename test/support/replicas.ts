/** Steps trained by several real processes, as a job process and its replicas do it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDataset } from '../../src/compression/data/open.ts';
import { describeModel } from '../../src/compression/graph/describe.ts';
import { readOnnx } from '../../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../../src/compression/formats/onnx/write.ts';
import { toHost } from '../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../src/compression/ir/types.ts';
import { applyTogether } from '../../src/compression/recipe/apply-together.ts';
import { engine } from '../../src/compression/tensor/engine.ts';
import { TECHNIQUES } from '../../src/compression/techniques/registry.ts';
import { validateRecipe } from '../../src/compression/recipe/validate.ts';
import type { JobRequest } from '../../src/contracts/job-request.ts';
import type { ModelDescription } from '../../src/contracts/model.ts';
import { replicaProcesses } from '../../workers/replicas/start.ts';
import type { JobTask } from '../../workers/job-process/protocol.ts';
import { writeNpz } from './datasets.ts';
import { contextFor, initialState, type TestContext } from './steps.ts';

export interface TrainedTogether {
  readonly model: Model;
  readonly context: TestContext;
}

export interface Together {
  readonly model: Model;
  /** Arrays of an npz file. */
  readonly arrays: Readonly<Record<string, Buffer>>;
  /** Its only step trains. */
  readonly request: Omit<JobRequest, 'model'>;
  /** 0: this process alone, without any exchange. */
  readonly replicas: number;
  readonly context?: Partial<TestContext>;
  /** Tensors travel on streams although the engine could exchange them in memory. */
  readonly transport?: 'stream';
  /** Told which processes train with this one. */
  readonly onProcesses?: (pids: readonly number[]) => void;
}

/** Applies the request's step in this process and `replicas` - 1 others. */
export async function trainTogether(options: Together): Promise<TrainedTogether> {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-replicas-'));
  try {
    return await withFolder(folder, options);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withFolder(folder: string, options: Together): Promise<TrainedTogether> {
  const task = await taskIn(folder, options);
  const dataset = await openDataset(task.dataset!.path, {});
  try {
    const request = validateRecipe(task.request, task.model.description, dataset.description);
    const model = readOnnx(writeOnnx(options.model));
    const { seed, training, transform = {} } = request;
    const context = contextFor(model, dataset, { seed, training, transform, loader: {}, ...options.context });
    const { technique, ...parameters } = request.steps[0]!;
    const apply = (within: TestContext) => TECHNIQUES.get(technique)!.apply(initialState(model), parameters, within);
    const processes = replicaProcesses(task, options.replicas, options.onProcesses ?? (() => undefined), {
      transport: options.transport,
    });
    const after =
      options.replicas === 0
        ? await apply(context)
        : await applyTogether((within) => apply(within as TestContext), {
            processes,
            index: 0,
            state: initialState(model),
            context,
          });
    return { model: after.model, context };
  } finally {
    await dataset.close();
  }
}

async function taskIn(folder: string, { model, arrays, request }: Together): Promise<JobTask> {
  const modelPath = join(folder, 'model.onnx');
  writeFileSync(modelPath, writeOnnx(model));
  const datasetPath = await writeNpz(join(folder, 'data.npz'), arrays);
  const outputFolder = join(folder, 'output');
  mkdirSync(outputFolder);
  const description: ModelDescription = { ...describeModel(model, 'onnx'), trainable: true, untrainable: [] };
  return {
    jobId: 'job_test',
    request: { ...request, model: 'mdl_test' },
    model: { id: 'mdl_test', name: 'model', sha256: '', description, path: modelPath },
    dataset: { id: 'dst_test', sha256: '', path: datasetPath, options: {} },
    otherModels: [],
    checkpointFolder: join(folder, 'checkpoints'),
    outputFolder,
    engine: engine().name,
    threads: 1,
    latencyMs: 1,
  };
}

/** The greatest difference between two models' float weights, and how many weights were compared. */
export function distance(a: Model, b: Model): { readonly max: number; readonly compared: number } {
  let max = 0;
  let compared = 0;
  for (const [name, tensor] of a.graph.initializers) {
    const other = b.graph.initializers.get(name);
    if (tensor.dtype !== 'float32' || !other) continue;
    const [left, right] = [toHost(tensor).data as Float32Array, toHost(other).data as Float32Array];
    if (left.length !== right.length) throw new Error(`"${name}" has ${left.length} and ${right.length} values`);
    left.forEach((value, i) => (max = Math.max(max, Math.abs(value - right[i]!))));
    compared += left.length;
  }
  return { max, compared };
}
