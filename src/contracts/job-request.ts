/**
 * What a client asks for. The steps' parameters are checked against each technique's own schema
 * (techniques/registry.ts).
 */
import { Type, type Static } from 'typebox';
import { Augmentation } from './augmentation.ts';

export const Transform = Type.Object(
  {
    scale: Type.Optional(Type.Number({ description: 'x * scale, before mean and std; default 1' })),
    mean: Type.Optional(Type.Array(Type.Number(), { description: 'per channel, or one for all' })),
    std: Type.Optional(
      Type.Array(Type.Number({ exclusiveMinimum: 0 }), { description: 'per channel, or one for all' }),
    ),
    resize: Type.Optional(
      Type.Array(Type.Integer({ minimum: 1 }), {
        minItems: 2,
        maxItems: 2,
        description: "[height, width]; default: the model's input size",
      }),
    ),
  },
  { additionalProperties: false },
);
export type Transform = Static<typeof Transform>;

export const Training = Type.Object(
  {
    batchSize: Type.Optional(Type.Integer({ minimum: 1, maximum: 65536, default: 128 })),
    optimizer: Type.Optional(Type.Enum(['sgd', 'adam', 'adamw'], { default: 'adam' })),
    learningRate: Type.Optional(Type.Number({ exclusiveMinimum: 0, default: 0.001 })),
    momentum: Type.Optional(Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0.9, description: 'sgd only' })),
    nesterov: Type.Optional(Type.Boolean({ default: false })),
    weightDecay: Type.Optional(Type.Number({ minimum: 0, default: 0 })),
    clipNorm: Type.Optional(Type.Number({ exclusiveMinimum: 0, description: 'global gradient norm' })),
    schedule: Type.Optional(
      Type.Object(
        {
          kind: Type.Enum(['constant', 'step', 'cosine']),
          warmupSteps: Type.Optional(Type.Integer({ minimum: 0, default: 0 })),
          stepEpochs: Type.Optional(Type.Integer({ minimum: 1, description: 'step: epochs between decays' })),
          factor: Type.Optional(
            Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'step: multiplier at each decay' }),
          ),
        },
        { additionalProperties: false },
      ),
    ),
    loss: Type.Optional(Type.Enum(['auto', 'cross-entropy', 'binary-cross-entropy', 'mse', 'kl'], { default: 'auto' })),
    epochs: Type.Optional(Type.Integer({ minimum: 0 })),
    validationFraction: Type.Optional(
      Type.Number({
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
        description: 'where the dataset has no validation split; default 0.1',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Training = Static<typeof Training>;

export const Parallel = Type.Object(
  {
    mode: Type.Enum(['none', 'sync', 'async', 'pipeline', 'branch'], {
      description:
        'none: training runs in one process; sync: in several, each on its share of every batch, with the result of ' +
        'one; async: replicas send gradients to a parameter server as they have them, without waiting for each other; ' +
        'pipeline and branch are refused',
    }),
    replicas: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1, maximum: 1024 }), Type.Literal('auto')], {
        default: 'auto',
        description: 'processes that train; auto: as many as the job has threads',
      }),
    ),
    onLoss: Type.Optional(
      Type.Enum(['restart', 'shrink', 'wait'], {
        default: 'restart',
        description:
          'sync: what happens when a replica is gone. restart: the step starts again from its last checkpoint, with ' +
          'as many replicas',
      }),
    ),
    stages: Type.Optional(
      Type.Integer({ minimum: 1, description: 'pipeline, branch: parts that the model is cut into' }),
    ),
    microBatches: Type.Optional(
      Type.Integer({ minimum: 1, description: 'pipeline: parts of a batch that are under way at a time' }),
    ),
    staleness: Type.Optional(
      Type.Object(
        {
          max: Type.Optional(
            Type.Integer({ minimum: 0, description: 'updates that a gradient may be late; others wait for it' }),
          ),
          scaleLearningRate: Type.Optional(
            Type.Boolean({ description: 'learning rate over staleness (arXiv 1511.05950); default true' }),
          ),
          compensate: Type.Optional(
            Type.Boolean({ description: 'delay compensation (DC-ASGD, arXiv 1609.08326); default false' }),
          ),
        },
        { additionalProperties: false, description: 'async' },
      ),
    ),
    localSteps: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100_000,
        description:
          'async: batches that a replica trains on by itself between two exchanges (DiLoCo, arXiv 2311.08105; ' +
          'delayed Nesterov, 2401.09135); default 1',
      }),
    ),
    syncBatchNorm: Type.Optional(
      Type.Boolean({
        default: true,
        description: "sync: BatchNormalization takes the statistics of the whole batch, not of each replica's share",
      }),
    ),
    compression: Type.Optional(
      Type.Object(
        {
          topK: Type.Number({
            exclusiveMinimum: 0,
            maximum: 1,
            description: 'async: share of each gradient that is sent; what is left is added to the next one',
          }),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
);
export type Parallel = Static<typeof Parallel>;

export const Loader = Type.Object(
  {
    numWorkers: Type.Optional(
      Type.Union([Type.Integer({ minimum: 0, maximum: 64 }), Type.Literal('auto'), Type.Literal('cores')], {
        default: 'auto',
        description:
          'threads that read, decode and augment samples. 0: the training process does it itself; cores: as many as ' +
          'there are; auto: measured in the first training steps, then fixed. The batches are the same whatever it is',
      }),
    ),
    augment: Type.Optional(
      Type.Array(Augmentation, {
        maxItems: 16,
        description:
          'random changes of training samples, one after another; never of validation and test samples. Drawn from ' +
          'seed, epoch and sample, so that they do not depend on workers and replicas',
      }),
    ),
    maxBrokenShare: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 1,
        default: 0.01,
        description:
          'samples that cannot be decoded while training are replaced by others, with a warning, up to this share of ' +
          'the split; beyond it the job fails',
      }),
    ),
  },
  { additionalProperties: false },
);
export type Loader = Static<typeof Loader>;

export const TargetRequest = Type.Object(
  {
    kind: Type.Enum(['auto', 'classes', 'values'], {
      default: 'auto',
      description:
        'how whole numbers of the target are read; "auto": classes, but values where more than two of them meet a ' +
        'model with one float for each sample',
    }),
  },
  { additionalProperties: false },
);
export type TargetRequest = Static<typeof TargetRequest>;

export const DEFAULT_QUEUE_SECONDS = 3600;
export const DEFAULT_RUN_SECONDS = 3600;
const MAX_LIMIT_SECONDS = 7 * 24 * 3600;

const seconds = (byDefault: number) => Type.Integer({ minimum: 1, maximum: MAX_LIMIT_SECONDS, default: byDefault });

export const Limits = Type.Object(
  {
    queueSeconds: Type.Optional(seconds(DEFAULT_QUEUE_SECONDS)),
    runSeconds: Type.Optional(seconds(DEFAULT_RUN_SECONDS)),
  },
  { additionalProperties: false },
);

export const Export = Type.Object(
  {
    format: Type.Enum(['tfjs-graph']),
    weights: Type.Optional(
      Type.Enum(['float32', 'float16', 'uint16', 'uint8'], {
        description: 'how weights are stored; default: as the last quantizing step says, else float32',
      }),
    ),
  },
  { additionalProperties: false },
);

export const Step = Type.Object({ technique: Type.String() }, { additionalProperties: true });
export type Step = Static<typeof Step> & Record<string, unknown>;

export const DEVICES = ['auto', 'cpu', 'gpu'] as const;

export const JobRequest = Type.Object(
  {
    model: Type.String(),
    dataset: Type.Optional(Type.String()),
    name: Type.Optional(Type.String({ maxLength: 200 })),
    labels: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 200 }))),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 4294967295, default: 0 })),
    device: Type.Optional(Type.Enum(DEVICES, { default: 'auto' })),
    transform: Type.Optional(Transform),
    target: Type.Optional(TargetRequest),
    steps: Type.Array(Step, { minItems: 1, maxItems: 32 }),
    training: Type.Optional(Training),
    parallel: Type.Optional(Parallel),
    loader: Type.Optional(Loader),
    export: Type.Optional(
      Type.Array(Export, {
        maxItems: 4,
        description: "formats to give the result in, beside ONNX and the upload's own",
      }),
    ),
    limits: Type.Optional(Limits),
  },
  { additionalProperties: false },
);
export type JobRequest = Static<typeof JobRequest>;
