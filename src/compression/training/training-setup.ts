/**
 * The setup that all training techniques share: data in the model's form, the head, the loss against labels, the
 * metrics.
 */
import type { Training } from '../../contracts/job-request.ts';
import type { TensorDescription } from '../../contracts/model.ts';
import { LatheError } from '../../errors.ts';
import { batchSource, type BatchOptions } from '../data/batches.ts';
import type { Batch, BatchSource, Dataset, Split } from '../data/dataset.ts';
import { trainAndValidation } from '../data/splits.ts';
import { isFloat } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import type { Network } from '../network/network.ts';
import type { StepContext } from '../step/step-context.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { batchTensors, feedsOf, floatTensor } from './feeds.ts';
import { shareOf } from './members.ts';
import { findHead, type Head } from './head.ts';
import { replicaStep } from './replica-step.ts';
import { chooseLoss, meanAbsoluteError, supervisedTerm, top1 } from './supervised.ts';
import { fixedBatchOf } from './rows.ts';
import type { LossTerm, Metric } from './term.ts';
import type { TrainOptions } from './train-options.ts';

/** A head with the number of its values per sample. */
export interface SizedHead extends Head {
  readonly width: number;
}

export interface TrainingSetup {
  /** By output of the network, float outputs only. */
  readonly heads: readonly SizedHead[];
  /** Trains the first output on the dataset's target; null if the data are unlabelled. */
  readonly labels: LossTerm | null;
  readonly metrics: readonly Metric[];
  /** Number of classes; null if the target is not classes. */
  readonly classes: number | null;
  /** The part of `TrainOptions` that is the same for every technique. */
  readonly common: Pick<
    TrainOptions,
    | 'network'
    | 'settings'
    | 'seed'
    | 'train'
    | 'validation'
    | 'checkpoints'
    | 'signal'
    | 'report'
    | 'replica'
    | 'asynchronous'
    | 'makeStep'
  >;
}

/** `overrides`: the step's own training settings, which win over the job's. */
export async function setUpTraining(
  network: Network,
  context: StepContext,
  overrides: Training = {},
): Promise<TrainingSetup> {
  const { dataset, seed, checkpoints, signal, replica, asynchronous } = context;
  if (!dataset) throw new LatheError('dataset-required', 'training needs a dataset');
  const settings = { ...context.training, ...overrides };
  const { train, validation } = trainAndValidation(dataset, settings.validationFraction, seed);
  const sourceOf = (split: Split, more: Pick<SourceOptions, 'shuffle' | 'augment' | 'classes'>) =>
    modelBatches(network, split, { context, batchSize: settings.batchSize, ...more });
  const heads = await headsOf(network, sourceOf(train, { shuffle: true }));
  const { augment } = context.loader;
  const source = sourceOf(train, { shuffle: true, augment, classes: heads[0]?.width });
  const common = {
    network,
    settings,
    seed,
    checkpoints,
    signal,
    train: reportedSource(source, context),
    validation: validation.length > 0 ? sourceOf(validation, { shuffle: false }) : null,
    report: (progress) => context.report(progress),
    ...(replica && { replica, makeStep: replicaStep(replica) }),
    ...(asynchronous && { asynchronous }),
  } satisfies TrainingSetup['common'];
  return { heads, common, ...supervision(heads, dataset, settings) };
}

/** Puts the loader's figures into the report when the source is closed. */
function reportedSource(source: BatchSource, { loader, replica, record, warn }: StepContext): BatchSource {
  let told: string | null = null;
  return {
    ...source,
    async close() {
      await source.close();
      const { numWorkers, waitShare, broken } = shareOf(source, replica).figures();
      if (waitShare !== null) record({ loader: { numWorkers, asked: loader.numWorkers ?? 'auto', waitShare } });
      if (broken !== null && broken !== told)
        warn('broken-samples', `${broken}. Others were trained on in their place`);
      told = broken;
    },
  };
}

function supervision(
  heads: readonly SizedHead[],
  dataset: Dataset,
  settings: Training,
): Pick<TrainingSetup, 'labels' | 'metrics' | 'classes'> {
  const { target } = dataset.description;
  const head = heads[0];
  if (target.kind === 'none' || !head) return { labels: null, metrics: [], classes: null };
  const labels = supervisedTerm(head, chooseLoss(settings.loss, head, target.kind));
  return {
    labels,
    metrics: [target.kind === 'classes' ? top1(head) : meanAbsoluteError(head)],
    classes: target.classes,
  };
}

/** The default batch size; smaller if an epoch would have fewer than twenty training steps. */
function defaultBatchSize(samples: number): number {
  return Math.min(128, Math.max(8, 2 ** Math.floor(Math.log2(Math.max(1, samples / 20)))));
}

interface SourceOptions {
  readonly context: Pick<StepContext, 'transform' | 'seed' | 'loader'>;
  readonly shuffle: boolean;
  readonly batchSize: number | undefined;
  readonly augment?: BatchOptions['augment'];
  readonly classes?: number | undefined;
}

/**
 * Batches for a network, of the size that its file fixes, if it does. A run then pads a short last batch (rows.ts);
 * training leaves it out, unless it is the only one, since padding would distort the statistics of BatchNormalization.
 */
function modelBatches(
  network: Network,
  split: Split,
  { context, shuffle, batchSize, augment, classes }: SourceOptions,
): BatchSource {
  const inputs = network.inputs.map(
    ({ name, type }): TensorDescription => ({ name, dtype: type.dtype, shape: (type.shape ?? []).map(sizeOf) }),
  );
  const fixed = fixedBatchOf(network);
  const size = fixed ?? Math.min(batchSize ?? defaultBatchSize(split.length), Math.max(1, split.length));
  return batchSource(split, {
    batchSize: size,
    shuffle,
    fullBatchesOnly: shuffle && fixed !== null && split.length >= size,
    seed: context.seed,
    transform: context.transform,
    inputs,
    ...context.loader,
    augment: augment ?? [],
    ...(classes !== undefined && { classes }),
  });
}

const sizeOf = (dim: Dim): number | null => (typeof dim === 'number' ? dim : null);

/** Float outputs with their final activations. If none is found, looks at some outputs. */
async function headsOf(network: Network, source: BatchSource): Promise<SizedHead[]> {
  const first = await firstBatch(source);
  const inputs = batchTensors(network, first);
  const heads: SizedHead[] = [];
  tf.tidy(() => {
    const { outputs } = network.run(feedsOf(network, inputs).feeds, { training: false });
    for (const [name, value] of outputs)
      if (isFloat(value.kind === 'device' ? value.dtype : value.value.dtype))
        heads.push(headOf(network, name, floatTensor(value)));
  });
  tf.dispose(inputs);
  return heads;
}

function headOf(network: Network, name: string, samples: TfTensor): SizedHead {
  const width = samples.size / (samples.shape[0] ?? 1);
  const head = { ...findHead(network.model, name), width };
  if (head.activation !== 'none' || !looksLikeProbabilities(samples.dataSync() as Float32Array, width)) return head;
  return { ...head, activation: width === 1 ? 'probability' : 'probabilities' };
}

/** @throws LatheError `dataset-required` if there is none */
export async function firstBatch(source: BatchSource): Promise<Batch> {
  for await (const batch of source.epoch(0)) return batch; // leaving the epoch ends the source's threads
  throw new LatheError('dataset-required', 'the training split is empty');
}

/** Rows of `width` that are all within [0, 1] and sum to 1; for a single score: within [0, 1] and not all the same. */
function looksLikeProbabilities(values: Float32Array, width: number): boolean {
  if (values.length === 0 || values.some((value) => !(value >= 0 && value <= 1))) return false;
  if (width === 1) return values.some((value) => value !== values[0]);
  for (let at = 0; at < values.length; at += width) {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += values[at + i]!;
    if (Math.abs(sum - 1) > 1e-3) return false;
  }
  return true;
}
