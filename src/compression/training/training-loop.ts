/** The state of a training, as in a checkpoint: epoch, step, the best weights. */
import type { Replica } from '../collective/replica.ts';
import type { BatchSource } from '../data/dataset.ts';
import { decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { adoptValues, shareOf, total } from './members.ts';
import { valuesOf, type NamedVariable } from './named-variable.ts';
import { fitsSnapshot, restoreSnapshot, takeSnapshot, type Snapshot } from './snapshot.ts';
import { trainedParameters } from './term.ts';
import type { Trained, TrainOptions } from './train-options.ts';

export class TrainingLoop {
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

/** Figures of this machine: part of the progress, not of the training's history, which a rerun repeats. */
export function loaderMetrics(source: BatchSource, replica: Replica | undefined): Record<string, number> {
  const { waitShare, numWorkers } = shareOf(source, replica).figures();
  return waitShare === null ? {} : { 'loader.waitShare': waitShare, 'loader.numWorkers': numWorkers };
}
