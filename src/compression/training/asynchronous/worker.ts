/** A worker's part in an asynchronous training: computes what the server gives it, until the end of the training. */
import type { Training } from '../../../contracts/job-request.ts';
import type { AsyncWorker } from '../../collective/async-place.ts';
import { elementAt } from '../../ir/checked-access.ts';
import type { Network } from '../../network/network.ts';
import { encodeSparse } from '../../parallel/async/gradient-encoding.ts';
import { difference } from '../../parallel/async/local-steps.ts';
import { TopKCompressor } from '../../parallel/async/top-k.ts';
import { meanLosses } from '../../parallel/async/worker-result.ts';
import type { Constraint } from '../constraint.ts';
import { makeOptimizer } from '../optimizer.ts';
import { restoreSnapshot } from '../snapshot.ts';
import { trainedParameters, type LossTerm } from '../term.ts';
import { wholeStep } from '../whole-step.ts';
import { assignValues, gradientEngine, readValues } from './engine-gradients.ts';
import type { End, Result, Work } from './messages.ts';
import { takesMomentum } from './server-optimizer.ts';

export interface WorkerOptions {
  readonly network: Network;
  readonly terms: readonly LossTerm[];
  readonly settings: Training;
  readonly constraints?: readonly Constraint[];
  readonly seed: number;
}

interface Computing {
  compute(work: Work): Promise<Omit<Result, 'computeMs' | 'batches'>>;
  dispose(): void;
}

/** The network then holds the server's weights. @returns what the server's training returned */
export async function trainAsWorker(options: WorkerOptions, worker: AsyncWorker): Promise<unknown> {
  const { network, terms } = options;
  const computing = worker.settings.localSteps > 1 ? localSteps(options) : gradients(options, worker);
  try {
    const end = (await worker.takePart(async (work) => {
      const start = performance.now();
      const { batches } = work as Work;
      const result = await computing.compute(work as Work);
      return { ...result, batches: batches.length, computeMs: performance.now() - start } satisfies Result;
    })) as End;
    assignValues(trainedParameters(network, terms), end.values);
    assignValues(network.state, end.statistics);
    return end.trained;
  } finally {
    computing.dispose();
  }
}

/** One batch, its gradient: whole, or the largest values. */
function gradients(
  { network, terms, settings, seed }: WorkerOptions,
  { settings: asynchronous }: AsyncWorker,
): Computing {
  const engine = gradientEngine(network, terms);
  const { momentum = 0.9, nesterov = false } = settings;
  const taken = takesMomentum(settings, asynchronous) ? momentum : 0;
  const compressor =
    asynchronous.topK < 1
      ? new TopKCompressor(readValues(trainedParameters(network, terms)), {
          topK: asynchronous.topK,
          momentum: taken,
          nesterov: nesterov && taken > 0,
        })
      : null;
  return {
    compute: async ({ values, statistics, batches }) => {
      const { batch, step } = elementAt(batches, 0, 'batch');
      const { contribution, losses } = engine.run({ values, statistics }, batch, { seed, step });
      const { gradient } = contribution;
      const sent = compressor ? encodeSparse(compressor.compress(gradient), 'float32') : gradient;
      return { ...contribution, gradient: sent, losses };
    },
    dispose: () => engine.dispose(),
  };
}

/** Several batches by an optimizer of its own, whose state it keeps; the weights before less after. */
function localSteps({ network, terms, settings, constraints = [], seed }: WorkerOptions): Computing {
  const trained = trainedParameters(network, terms);
  const optimizer = makeOptimizer(settings.optimizer ?? 'adam', settings, trained);
  const step = wholeStep({ network, terms, optimizer, constraints, observers: [], clipNorm: settings.clipNorm });
  let taken = 0;
  return {
    compute: async ({ values, statistics, constraints: held, batches }) => {
      assignValues(trained, values);
      assignValues(network.state, statistics);
      restoreSnapshot(
        constraints.flatMap(({ variables }) => variables),
        held,
      );
      const results = [];
      for (const { batch, learningRate } of batches) {
        const losses = await step.run(batch, { step: taken++, learningRate, seed });
        results.push({ losses, contribution: { gradient: values, statistics, samples: batch.size } });
      }
      const samples = results.reduce((sum, { contribution }) => sum + contribution.samples, 0);
      return {
        gradient: difference(values, readValues(trained)),
        statistics: readValues(network.state),
        samples,
        losses: meanLosses(results, samples),
      };
    },
    dispose: () => {
      step.dispose();
      optimizer.dispose();
    },
  };
}
