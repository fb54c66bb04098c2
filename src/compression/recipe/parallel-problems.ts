/** What is wrong with a job's `parallel`: paths are JSON pointers into the job request. */
import type { Parallel } from '../../contracts/job-request.ts';
import type { ErrorDetail } from '../../errors.ts';

/** What each mode of training over several processes still needs to run. */
const MISSING_MODES: Partial<Record<Parallel['mode'], string>> = {
  pipeline: 'cutting the model into stages',
  branch: 'cutting the model into branches',
};

/** Processes of one machine: beyond, starting them and their memory cost more than they bring. */
const MAX_REPLICAS = 64;

/** Settings that the job's mode cannot follow are refused, not ignored. */
export function parallelProblems(parallel: Parallel = { mode: 'none' }): ErrorDetail[] {
  const { mode, replicas, onLoss = 'restart', stages = 1, microBatches = 1 } = parallel;
  const missing = MISSING_MODES[mode];
  if (missing)
    return [
      problem(
        'mode',
        `"${mode}" does not run yet: this version has no code for ${missing}; use "none", which trains in one ` +
          'process, or "sync" or "async", which train in several',
      ),
    ];
  return [
    ...(mode === 'none' ? singleProcessProblems(parallel) : []),
    ...(typeof replicas === 'number' && replicas > MAX_REPLICAS
      ? [problem('replicas', `all replicas run on one machine: at most ${MAX_REPLICAS}`)]
      : []),
    ...(onLoss === 'restart' || mode === 'async' ? [] : [problem('onLoss', lossMessage(onLoss))]),
    ...(stages > 1 ? [problem('stages', `mode "${mode}" does not cut the model`)] : []),
    ...(microBatches > 1 ? [problem('microBatches', `mode "${mode}" has no pipeline`)] : []),
    ...(mode === 'async' ? asyncProblems(parallel) : lateProblems(parallel)),
  ];
}

/** Settings of late gradients where none is late. */
function lateProblems({ mode, staleness, localSteps = 1, compression }: Parallel): ErrorDetail[] {
  return [
    ...(staleness ? [problem('staleness', `no gradient is late in mode "${mode}"`)] : []),
    ...(localSteps > 1 ? [problem('localSteps', `mode "${mode}" exchanges after every batch; use "async"`)] : []),
    ...(compression && compression.topK < 1
      ? [problem('compression', `mode "${mode}" exchanges gradients whole; use "async"`)]
      : []),
  ];
}

/** Settings that exclude each other. */
function asyncProblems({ localSteps = 1, staleness = {}, compression }: Parallel): ErrorDetail[] {
  const isLocal = localSteps > 1;
  return [
    ...(isLocal && staleness.scaleLearningRate
      ? [problem('staleness/scaleLearningRate', 'local steps are joined by delayed momentum; leave it out')]
      : []),
    ...(isLocal && staleness.compensate
      ? [problem('staleness/compensate', 'what workers send after local steps is no gradient; leave it out')]
      : []),
    ...(isLocal && (compression?.topK ?? 1) < 1
      ? [problem('compression', 'top-k selects from gradients; local steps save the exchange already')]
      : []),
  ];
}

function lossMessage(onLoss: string): string {
  return `"${onLoss}" does not run yet: use "restart", which goes on from the last checkpoint with as many replicas`;
}

function singleProcessProblems({ replicas, syncBatchNorm = true }: Parallel): ErrorDetail[] {
  return [
    ...(typeof replicas === 'number' && replicas > 1
      ? [problem('replicas', `mode "none" has one replica, not ${replicas}; leave "replicas" out`)]
      : []),
    ...(syncBatchNorm ? [] : [problem('syncBatchNorm', 'one process takes the statistics of the whole batch')]),
  ];
}

const problem = (name: string, message: string): ErrorDetail => ({ path: `/parallel/${name}`, message });
