import type { Training } from '../../../contracts/job-request.ts';
import { LatheError } from '../../../errors.ts';
import { withoutCodebooks } from '../../graph/codebooks.ts';
import type { Network } from '../../network/network.ts';
import { firstBatch, setUpTraining, type TrainingSetup } from '../../training/training-setup.ts';
import { phaseOf } from '../../training/phase.ts';
import { fixedBatchOf } from '../../training/rows.ts';
import { frozenMasks, networkOf, withNetwork } from '../../training/session.ts';
import { distillationTerms } from '../../training/teacher-terms.ts';
import { TeacherForward } from '../../training/teacher-forward.ts';
import type { LossTerm } from '../../training/term.ts';
import { train } from '../../training/train.ts';
import type { TrainOptions } from '../../training/train-options.ts';
import type { CheckpointStore } from '../../step/checkpoint-store.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { attentionTerm } from './attention-term.ts';
import { Features } from './features.ts';
import { hintTerm } from './hint-term.ts';
import { featurePairs, type FeaturePair } from './pairs.ts';
import { relationalTerm } from './relational-term.ts';
import type { DistillParameters } from './spec.ts';
import { stageStores } from './stage-stores.ts';
import { deriveStudent } from './student.ts';

/**
 * Trains the model, or a smaller one derived from the teacher, on the teacher's outputs, and on labels if there are
 * any.
 */
export async function apply(
  before: ModelState,
  parameters: DistillParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  if (parameters.epochs === 0) return before;
  const original = parameters.teacher === 'original';
  const model = original ? context.original : await context.loadModel(parameters.teacher);
  const basis: ModelState = original
    ? before
    : { model: withoutCodebooks(model), frozenZeros: new Set(), kept: new Map(), quantized: false };
  const state = parameters.student ? deriveStudent(basis, parameters.student, context) : before;
  const teacher = networkOf(model, 'The teacher');
  try {
    return await withNetwork(state, context, (network) => distil(network, { teacher, state, parameters, context }));
  } finally {
    teacher.dispose();
  }
}

interface Distillation {
  readonly teacher: Network;
  readonly state: ModelState;
  readonly parameters: DistillParameters;
  readonly context: StepContext;
}

async function distil(network: Network, distillation: Distillation): Promise<void> {
  const { teacher, state, parameters, context } = distillation;
  const masks = frozenMasks(network, state);
  try {
    const setup = await setUpTraining(network, context, { ...batchOf(teacher), ...parameters.training });
    const pairs = parameters.method === 'logits' ? [] : await pairsOf(network, distillation, setup);
    await trainStages({ ...distillation, setup, pairs, constraints: masks ? [masks] : [] });
  } finally {
    masks?.dispose();
  }
}

async function pairsOf(
  network: Network,
  { teacher, parameters }: Distillation,
  { common }: TrainingSetup,
): Promise<FeaturePair[]> {
  const batch = await firstBatch(common.train);
  const networks = { teacher: new Features(teacher, batch), student: new Features(network, batch) };
  return featurePairs(parameters.method as Exclude<DistillParameters['method'], 'logits'>, networks, parameters.hints);
}

interface PreparedDistillation extends Distillation {
  readonly setup: TrainingSetup;
  readonly pairs: readonly FeaturePair[];
  readonly constraints: NonNullable<TrainOptions['constraints']>;
}

/** Trains the hints, if that is the method, then the outputs. */
async function trainStages(prepared: PreparedDistillation): Promise<void> {
  const { teacher, setup, pairs, constraints, parameters, context } = prepared;
  const { method, epochs, temperature, alpha } = parameters;
  const hintEpochs = method === 'hints' ? (parameters.hintEpochs ?? epochs) : 0;
  const [hintStore, store] =
    hintEpochs > 0 ? stageStores(context.checkpoints) : [context.checkpoints, context.checkpoints];
  const allEpochs = hintEpochs + epochs;
  const phase = (epochsBefore: number, epochs: number, checkpoints: CheckpointStore) => ({
    ...setup.common,
    ...phaseOptions(phaseOf(context, checkpoints, { epochsBefore, epochs, allEpochs })),
    epochs,
    constraints,
  });
  const run = new TeacherForward(teacher);
  if (hintEpochs > 0)
    await trainOnHints(new TeacherForward(teacher), pairs, phase(0, hintEpochs, hintStore), context.seed);
  const terms = [
    ...distillationTerms({ setup, teacher: run, temperature, alpha: alphaFor(setup, alpha) }),
    ...featureTerms(run, pairs, parameters),
  ];
  if (terms.length === 0)
    throw new LatheError('model-not-trainable', 'The model has no float output that a teacher could teach');
  const { unchanged } = await train({ ...phase(hintEpochs, epochs, store), terms, metrics: setup.metrics });
  if (unchanged)
    context.warn(
      'no-improvement',
      'No epoch improved on the starting weights in the validation split; the starting weights are kept',
    );
}

function phaseOptions({ checkpoints, report }: StepContext): Pick<TrainOptions, 'checkpoints' | 'report'> {
  return { checkpoints, report };
}

async function trainOnHints(
  teacher: TeacherForward,
  pairs: readonly FeaturePair[],
  options: Omit<TrainOptions, 'terms' | 'metrics'>,
  seed: number,
): Promise<void> {
  const term = hintTerm(pairs, teacher, seed);
  try {
    await train({ ...options, terms: [term], metrics: [] });
  } finally {
    term.dispose();
  }
}

/** The term of features, beside that of the outputs. */
function featureTerms(
  teacher: TeacherForward,
  pairs: readonly FeaturePair[],
  { method, beta }: DistillParameters,
): LossTerm[] {
  switch (method) {
    case 'logits':
    case 'hints':
      return [];
    case 'attention':
      return [attentionTerm(pairs, teacher, beta ?? 1000)];
    case 'relational':
      return [relationalTerm(pairs, teacher, beta ?? 1)];
  }
}

/** The batch size, if the teacher's file fixes one. */
function batchOf(teacher: Network): Training {
  const batchSize = fixedBatchOf(teacher);
  return batchSize === null ? {} : { batchSize };
}

/** Without labels only the teacher's term remains. */
function alphaFor({ labels }: TrainingSetup, alpha: number): number {
  return labels ? alpha : 1;
}
