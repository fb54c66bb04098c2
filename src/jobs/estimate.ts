/** Estimates a job's time and memory from the model's cost alone; right to within a factor of a few. */
import type { DatasetDescription } from '../contracts/dataset.ts';
import { specOf } from '../compression/techniques/registry.ts';
import type { ModelCost } from '../compression/techniques/technique.ts';
import type { JobRequest, Step } from '../contracts/job-request.ts';
import type { ModelDescription } from '../contracts/model.ts';

export interface Estimate {
  readonly seconds: number | null;
  readonly memoryBytes: number;
  readonly steps: readonly { readonly technique: string; readonly seconds: number | null }[];
}

/**
 * Sustained in training, as measured on two cores (convolutions and matrix products of common networks) and assumed for
 * a GPU.
 */
const FLOPS_PER_SECOND = { cpu: 60e9, gpu: 5e12 } as const;
const FLOPS_PER_MAC = 2;
/** TensorFlow, onnxruntime and their libraries. */
const BASE_BYTES = 700 * 2 ** 20;
/** Weights, gradients, two moments of the optimizer, the best weights and the original. */
const COPIES_OF_WEIGHTS = 6;
/** Activations kept for the gradients: values per multiply-accumulate in convolutional networks, roughly. */
const VALUES_PER_MAC = 1 / 50;
const BYTES_PER_VALUE = 4;
/** Start of the job process, export and measurement of one step. */
const FIXED_SECONDS = { job: 5, step: 3 } as const;
/** Operators that hold kernels. */
const KERNEL_OPERATORS = ['Conv', 'ConvTranspose', 'Gemm', 'MatMul'];

/** @param request with its defaults filled in */
export function estimate(request: JobRequest, model: ModelDescription, dataset: DatasetDescription | null): Estimate {
  const rate = FLOPS_PER_SECOND[request.device === 'gpu' ? 'gpu' : 'cpu'];
  const forward = model.macs === null ? null : (model.macs * FLOPS_PER_MAC) / rate;
  const kernelLayers = KERNEL_OPERATORS.reduce((sum, name) => sum + (model.operators[name] ?? 0), 0);
  const trainingSamples = dataset?.splits.train ?? 0;
  const steps = request.steps.map((step) => ({
    technique: step.technique,
    seconds:
      forward === null ? null : rounded(stepSeconds(step, { forwardSeconds: forward, trainingSamples, kernelLayers })),
  }));
  const known = steps.every(({ seconds }) => seconds !== null);
  const measured = forward === null || !dataset ? 0 : forward * dataset.splits.test * (steps.length + 1);
  const batch = request.training?.batchSize ?? 128;
  return {
    seconds: known
      ? rounded(steps.reduce((sum, { seconds }) => sum + (seconds ?? 0), FIXED_SECONDS.job + measured))
      : null,
    memoryBytes: Math.round(
      BASE_BYTES +
        model.parameters * BYTES_PER_VALUE * COPIES_OF_WEIGHTS +
        batch * (model.macs ?? 0) * VALUES_PER_MAC * BYTES_PER_VALUE,
    ),
    steps,
  };
}

function stepSeconds({ technique, ...parameters }: Step, model: ModelCost): number {
  return FIXED_SECONDS.step + (specOf(technique)?.cost?.(parameters, model) ?? 0);
}

const rounded = (seconds: number): number => Math.round(seconds * 10) / 10;
