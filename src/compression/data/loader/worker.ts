/** A worker thread of the loader: makes the batches that it is told to, into memory that it is given. */
import { workerData } from 'node:worker_threads';
import { LatheError, type ErrorCode, type ErrorDetail } from '../../../errors.ts';
import { openSplit } from '../open-split.ts';
import type { SplitHandle } from '../handles.ts';
import { BatchMaker, type BatchRequest, type BrokenSample, type MakerOptions } from './batch-maker.ts';
import type { SamplePlan } from './plan.ts';

export interface WorkerSetup {
  readonly split: SplitHandle;
  readonly options: MakerOptions;
  readonly plan: SamplePlan;
}

export interface WorkerTask {
  readonly request: BatchRequest;
  readonly buffer: SharedArrayBuffer;
}

/** Errors lose their class on the way between threads: failures with a code travel as data. */
export type WorkerAnswer =
  | { readonly broken: readonly BrokenSample[] }
  | {
      readonly failure: { readonly code: ErrorCode; readonly message: string; readonly errors: readonly ErrorDetail[] };
    };

/** While one file is decoded, the next one is read and the last one augmented. */
const FILES_AT_A_TIME = 2;

let maker: BatchMaker | null = null;

export async function makeBatch({ request, buffer }: WorkerTask): Promise<WorkerAnswer> {
  try {
    maker ??= openMaker(workerData as WorkerSetup);
    return { broken: await maker.make(request, buffer) };
  } catch (error) {
    if (!(error instanceof LatheError)) throw error;
    return { failure: { code: error.code, message: error.message, errors: error.errors } };
  }
}

function openMaker({ split, options, plan }: WorkerSetup): BatchMaker {
  return new BatchMaker(openSplit(split), options, FILES_AT_A_TIME, plan);
}
