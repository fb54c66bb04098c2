/** The training loop. */
import { amongAll } from '../collective/collective.ts';
import type { AsyncServer } from '../collective/async-place.ts';
import { serverOptimizer } from './asynchronous/server-optimizer.ts';
import { serveEpochs, type ServedEpochs } from './asynchronous/server.ts';
import { trainAsWorker } from './asynchronous/worker.ts';
import { diverged, divergenceGuard } from './divergence.ts';
import { evaluator } from './evaluate.ts';
import { nextTurn } from './event-loop.ts';
import { shareOf, total } from './members.ts';
import { makeOptimizer } from './optimizer.ts';
import { learningRateSchedule, type LearningRate } from './schedule.ts';
import type { TrainingStepParts } from './step.ts';
import { trainedParameters } from './term.ts';
import type { Trained, TrainOptions } from './train-options.ts';
import { loaderMetrics, TrainingLoop } from './training-loop.ts';
import { wholeStep } from './whole-step.ts';

/** Batches between two progress reports. */
const REPORT_EVERY = 10;

/**
 * Trains for `epochs` and leaves the best weights in the network: best by validation, among those that qualify.
 * The same options and seed give the same weights, also across a resume from a checkpoint. Replicas end with the same
 * weights; where one is gone and the others go on, they repeat the training step that this broke off.
 * @throws LatheError `diverged` (the network then holds the best weights so far); the signal's reason within a batch of
 * an abort; ReplicaLost, NoWorkers
 */
export async function train(options: TrainOptions): Promise<Trained> {
  const { asynchronous } = options;
  if (asynchronous?.role === 'worker') return (await trainAsWorker(options, asynchronous)) as Trained;
  return trainHere(options);
}

async function trainHere(options: TrainOptions): Promise<Trained> {
  const { network, terms, settings, epochs, asynchronous } = options;
  const parameters = trainedParameters(network, terms);
  const optimizer =
    asynchronous?.role === 'server'
      ? serverOptimizer(settings, parameters, asynchronous.settings)
      : makeOptimizer(settings.optimizer ?? 'adam', settings, parameters);
  const run = new TrainingLoop(options, optimizer.slots);
  const epochTrainer = asynchronous?.role === 'server' ? asynchronousEpochs(asynchronous) : stepByStep;
  const trainer = epochTrainer(options, run, {
    network,
    terms,
    optimizer,
    constraints: options.constraints ?? [],
    observers: options.observers ?? [],
    clipNorm: settings.clipNorm,
    earlierSteps: (samples: number) => run.earlierSteps(samples),
  });
  const validate = validator(options, () => run.earlierValidations);
  try {
    const isResumed = await run.resume();
    await amongAll(async () => {
      if (!isResumed && run.step === 0) run.offer(await validate(0));
      while (run.epoch < epochs) {
        await trainer.epoch();
        const figures = await validate(run.step);
        if (figures && !Number.isFinite(figures.loss))
          throw diverged(`the validation loss became ${figures.loss}`, run);
        await run.finishEpoch(figures);
      }
    });
    run.keepBest();
    trainer.end?.(run.result());
    return run.result();
  } finally {
    run.keepBest();
    trainer.dispose();
    validate.dispose();
    optimizer.dispose();
    await Promise.all([options.train.close(), options.validation?.close()]);
  }
}

interface EpochTrainer {
  /** Trains on what is left of the present epoch. */
  epoch(): Promise<void>;
  /** Is told the result. */
  end?(trained: Trained): void;
  dispose(): void;
}

type EpochTrainerMaker = (options: TrainOptions, run: TrainingLoop, parts: TrainingStepParts) => EpochTrainer;

/** Batch after batch: all of an epoch, or those after the ones done before the group changed. */
function stepByStep(options: TrainOptions, run: TrainingLoop, parts: TrainingStepParts): EpochTrainer {
  const { seed, signal, replica, makeStep = wholeStep } = options;
  const step = makeStep(parts);
  const finishStep = stepFinisher(options, run);
  const learningRate = rateOf(options);
  return {
    epoch: async () => {
      let at = run.epoch * options.train.batchesPerEpoch;
      for await (const batch of shareOf(options.train, replica).epoch(run.epoch)) {
        if (at++ < run.step) continue;
        signal.throwIfAborted();
        options.beforeStep?.(run.step);
        const [loss = NaN] = await step.run(batch, { step: run.step, learningRate: learningRate(run.step), seed });
        await finishStep(loss, batch.size, 1);
        batch.release?.();
      }
    },
    dispose: () => step.dispose(),
  };
}

/** As workers deliver gradients of batches. */
function asynchronousEpochs(server: AsyncServer): EpochTrainerMaker {
  return (options, run, parts): ServedEpochs => {
    const finishStep = stepFinisher(options, run);
    return serveEpochs({
      parts,
      server,
      source: options.train,
      epochs: options.epochs,
      position: run,
      learningRate: rateOf(options),
      ...(options.beforeStep && { beforeStep: options.beforeStep }),
      onUpdate: ({ losses, samples, batches }) => finishStep(losses[0] ?? NaN, samples, batches.length),
      signal: options.signal,
    });
  };
}

function rateOf({ settings, train, epochs, cycles }: TrainOptions): LearningRate {
  return learningRateSchedule({
    learningRate: settings.learningRate ?? 0.001,
    schedule: settings.schedule,
    stepsPerEpoch: train.batchesPerEpoch,
    epochs,
    cycles,
  });
}

/** Counts a training step, watches its loss, and reports now and then. */
function stepFinisher(
  { report, train, replica }: TrainOptions,
  run: TrainingLoop,
): (loss: number, samples: number, batches: number) => Promise<void> {
  const guard = divergenceGuard();
  let reported = run.step;
  return async (loss, samples, batches) => {
    guard(loss, run);
    run.finishStep(loss, samples, batches);
    if (Math.floor(run.step / REPORT_EVERY) > Math.floor(reported / REPORT_EVERY))
      report({ progress: run.progress, epoch: run.epoch + 1, metrics: { loss, ...loaderMetrics(train, replica) } });
    reported = run.step;
    await nextTurn();
  };
}

/** Figures on the validation split for weights that may be the result; null for others, or without such a split. */
function validator(
  { network, terms, metrics, validation, signal, replica, qualifies = () => true }: TrainOptions,
  earlierRuns: () => number,
): { (step: number): Promise<Record<string, number> | null>; dispose(): void } {
  const evaluation = evaluator(network, terms, metrics, earlierRuns);
  const validate = async (step: number) =>
    validation && validation.samples > 0 && (step > 0 || qualifies(0))
      ? evaluation.run(shareOf(validation, replica), signal, (sums) => total(sums, replica))
      : null;
  return Object.assign(validate, { dispose: () => evaluation.dispose() });
}
