/** The training loop. */
import type { Training } from '../../contracts/job-request.ts';
import { amongAll } from '../collective/collective.ts';
import type { AsyncPlace, AsyncServer } from '../collective/async-place.ts';
import type { Replica } from '../collective/replica.ts';
import type { BatchSource } from '../data/dataset.ts';
import type { Network } from '../network/network.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { StepProgress } from '../step/step-context.ts';
import { serverOptimizer } from './asynchronous/server-optimizer.ts';
import { serveEpochs, type ServedEpochs } from './asynchronous/server.ts';
import { trainAsWorker } from './asynchronous/worker.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import type { Constraint } from './constraint.ts';
import { diverged, divergenceGuard } from './divergence.ts';
import { evaluator } from './evaluate.ts';
import { nextTurn } from './event-loop.ts';
import { adoptValues, shareOf, total } from './members.ts';
import { valuesOf, type NamedVariable } from './named-variable.ts';
import { makeOptimizer } from './optimizer.ts';
import { learningRateSchedule, type LearningRate } from './schedule.ts';
import { fitsSnapshot, restoreSnapshot, takeSnapshot, type Snapshot } from './snapshot.ts';
import type { GradientObserver, StepMaker, TrainingStepParts } from './step.ts';
import { trainedParameters, type LossTerm, type Metric } from './term.ts';
import { wholeStep } from './whole-step.ts';

export interface TrainOptions {
  readonly network: Network;
  readonly terms: readonly LossTerm[];
  /** The first one chooses the best epoch, the loss breaks ties; without metrics the loss alone. */
  readonly metrics: readonly Metric[];
  readonly settings: Training;
  readonly epochs: number;
  /** How many times the learning-rate schedule repeats; default 1. */
  readonly cycles?: number;
  readonly seed: number;
  readonly train: BatchSource;
  /** null: epochs cannot be compared; the last one's weights are kept. */
  readonly validation: BatchSource | null;
  readonly constraints?: readonly Constraint[];
  readonly observers?: readonly GradientObserver[];
  /** Before step number `step`: prunes further, for example. */
  readonly beforeStep?: (step: number) => void;
  /** May the weights before step number `step` be the result? Default: always; the starting weights (step 0) too. */
  readonly qualifies?: (step: number) => boolean;
  /**
   * This process's place among those that train together with the same options: it takes its share of every batch.
   * Default: it trains alone.
   */
  readonly replica?: Replica;
  /** This process's place in an asynchronous training: its server, or a worker, which then follows the server. */
  readonly asynchronous?: AsyncPlace;
  /** Makes the training step; default: this process trains alone. */
  readonly makeStep?: StepMaker;
  readonly checkpoints: CheckpointStore;
  readonly signal: AbortSignal;
  readonly report: (progress: StepProgress) => void;
}

export interface Trained {
  /** Validation figures of the weights that the network now holds; null if there is no validation split. */
  readonly metrics: Readonly<Record<string, number>> | null;
  /** By epoch: training loss, validation figures. */
  readonly history: readonly Readonly<Record<string, number>>[];
  /** The starting weights were kept: no epoch did better on the validation split. */
  readonly unchanged: boolean;
}

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

/** Figures of this machine: part of the progress, not of the training's history, which a rerun repeats. */
function loaderMetrics(source: BatchSource, replica: Replica | undefined): Record<string, number> {
  const { waitShare, numWorkers } = shareOf(source, replica).figures();
  return waitShare === null ? {} : { 'loader.waitShare': waitShare, 'loader.numWorkers': numWorkers };
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

/** The state of a training, as in a checkpoint: epoch, step, the best weights. */
class TrainingLoop {
  epoch = 0;
  step = 0;
  history: Record<string, number>[] = [];
  /** Of the present epoch: the sum of losses, samples. */
  private sums = new Float64Array(2);
  /** Epochs and validations of processes that have ended. */
  private resumedEpochs = 0;
  earlierValidations = 0;
  /** Samples in the first batch of an epoch. */
  private fullBatch: number | null = null;
  private bestMetrics: Record<string, number> | null = null;
  private bestStep: number | null = null;
  private best: Snapshot = new Map();
  private readonly options: TrainOptions;
  /** Parameters, those of terms included, and running statistics. */
  private readonly weights: readonly NamedVariable[];
  private readonly everything: readonly NamedVariable[];

  constructor(options: TrainOptions, slots: readonly NamedVariable[]) {
    const { network, terms, constraints = [], observers = [] } = options;
    this.options = options;
    this.weights = valuesOf([...trainedParameters(network, terms), ...network.state]);
    this.everything = [
      ...this.weights,
      ...slots,
      ...constraints.flatMap(({ variables }) => variables),
      ...observers.flatMap(({ variables }) => variables),
    ];
  }

  get progress(): number {
    return this.step / Math.max(1, this.options.epochs * this.options.train.batchesPerEpoch);
  }

  /** Steps with a batch of this size before the resume: all of an epoch but the last one have the size of the first. */
  earlierSteps(samples: number): number {
    this.fullBatch ??= samples;
    return this.resumedEpochs * (samples === this.fullBatch ? Math.floor(this.options.train.samples / samples) : 1);
  }

  /** Resumes from the checkpoint, if there is one with exactly this training's variables. Replicas start equal. */
  async resume(): Promise<boolean> {
    const isResumed = await this.loadCheckpoint();
    await adoptValues(this.everything, this.options.replica);
    return isResumed;
  }

  private async loadCheckpoint(): Promise<boolean> {
    const bytes = await this.options.checkpoints.load();
    const checkpoint = bytes && decodeCheckpoint(bytes);
    if (!checkpoint || !fitsSnapshot(this.everything, checkpoint.current)) return false;
    if (checkpoint.best.size > 0 && !fitsSnapshot(this.weights, checkpoint.best)) return false;
    this.epoch = this.resumedEpochs = checkpoint.epoch;
    this.step = checkpoint.step;
    this.history = [...checkpoint.history];
    this.earlierValidations =
      this.history.filter((figures) => 'validation.loss' in figures).length +
      Number(this.options.qualifies?.(0) ?? true);
    this.bestMetrics = checkpoint.bestMetrics;
    this.bestStep = checkpoint.bestStep;
    this.best = checkpoint.best;
    restoreSnapshot(this.everything, checkpoint.current);
    return true;
  }

  private async save(): Promise<void> {
    const { epoch, step, history, bestMetrics, bestStep, best } = this;
    await this.options.checkpoints.save(
      encodeCheckpoint({ epoch, step, history, bestMetrics, bestStep, best, current: takeSnapshot(this.everything) }),
    );
  }

  finishStep(loss: number, samples: number, batches: number): void {
    this.sums[0]! += loss * samples;
    this.sums[1]! += samples;
    this.step += batches;
  }

  /** @param figures of the validation split */
  async finishEpoch(figures: Record<string, number> | null): Promise<void> {
    const { train, replica, report } = this.options;
    const [losses = NaN, samples = NaN] = await total(this.sums, replica);
    await replica?.share();
    this.sums = new Float64Array(2);
    this.epoch++;
    const validation = Object.entries(figures ?? {}).map(([name, value]) => [`validation.${name}`, value]);
    this.history.push({ loss: losses / samples, ...(Object.fromEntries(validation) as Record<string, number>) });
    this.offer(figures);
    const metrics = { ...this.history.at(-1), ...loaderMetrics(train, replica) };
    report({ progress: this.progress, epoch: this.epoch, endOfEpoch: true, metrics });
    await this.save();
  }

  /** Keeps the present weights if they qualify and are the best so far. */
  offer(figures: Record<string, number> | null): void {
    const qualified = this.options.qualifies?.(this.step) ?? true;
    if (!figures || !qualified || (this.bestMetrics && !this.isBetter(figures, this.bestMetrics))) return;
    this.bestMetrics = figures;
    this.bestStep = this.step;
    this.best = takeSnapshot(this.weights);
  }

  private isBetter(a: Record<string, number>, b: Record<string, number>): boolean {
    const figure = (of: Record<string, number>, name: string): number => of[name] ?? NaN;
    const first = this.options.metrics[0];
    if (first && a[first.name] !== b[first.name])
      return figure(a, first.name) > figure(b, first.name) === (first.better === 'higher');
    return figure(a, 'loss') < figure(b, 'loss');
  }

  keepBest(): void {
    if (this.best.size > 0) restoreSnapshot(this.weights, this.best);
  }

  result(): Trained {
    return { metrics: this.bestMetrics, history: this.history, unchanged: this.bestStep === 0 };
  }
}
