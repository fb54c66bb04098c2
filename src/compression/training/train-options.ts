/** What a training is given, and what it returns. */
import type { Training } from '../../contracts/job-request.ts';
import type { AsyncPlace } from '../collective/async-place.ts';
import type { Replica } from '../collective/replica.ts';
import type { BatchSource } from '../data/dataset.ts';
import type { Network } from '../network/network.ts';
import type { CheckpointStore } from '../step/checkpoint-store.ts';
import type { StepProgress } from '../step/step-context.ts';
import type { Constraint } from './constraint.ts';
import type { GradientObserver, StepMaker } from './step.ts';
import type { LossTerm, Metric } from './term.ts';

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
