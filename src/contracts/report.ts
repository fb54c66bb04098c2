/** The evidence of a job: what was measured on files, before and after. */
import { Type, type Static } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) => Type.Union([schema, Type.Null()]);

export const Accuracy = Type.Object({
  top1: nullable(Type.Number({ description: '0..1; null for targets that are no classes' })),
  loss: Type.Number(),
  samples: Type.Integer(),
  split: Type.String(),
});
export const Fidelity = Type.Object({
  top1Agreement: nullable(
    Type.Number({ description: "share of samples whose arg-max equals the original model's, 0..1" }),
  ),
  sqnrDb: nullable(
    Type.Number({ description: "signal to quantization noise against the original's outputs, dB; null: identical" }),
  ),
  maxAbsError: Type.Number(),
  samples: Type.Integer(),
  exact: Type.Optional(
    nullable(
      Type.Object(
        {
          top1Agreement: nullable(Type.Number()),
          sqnrDb: nullable(Type.Number()),
          maxAbsError: Type.Number(),
          saturatingProducts: Type.Integer({
            description:
              'products whose weights let sums of two saturate in 16 bits on x86 processors without VNNI; 0: ' +
              'the file computes the same everywhere',
          }),
        },
        {
          description:
            'the same by exact integer arithmetic; what stands beside it is as the measuring processor ' +
            'computes. null: the file multiplies no integers. Absent in older reports',
        },
      ),
    ),
  ),
});
export const Latency = Type.Object({
  median: Type.Number({ description: 'ms' }),
  p90: Type.Number({ description: 'ms' }),
  batch: Type.Integer(),
  threads: Type.Integer(),
  runs: Type.Integer(),
  runtime: Type.String({ description: 'runtime and version' }),
  processor: Type.Optional(Type.String({ description: 'of the machine that measured; absent in older reports' })),
  instructionSets: Type.Optional(
    Type.Array(Type.String(), {
      description: 'those of its instruction sets that kernels are chosen by, the newest last',
    }),
  ),
  simulated: Type.Boolean(),
});
/** Measured on a file. The API name of each field is fixed by docs/api; units are in the descriptions. */
export const Measures = Type.Object({
  sizeBytes: Type.Integer(),
  gzipBytes: Type.Integer(),
  parameters: Type.Integer(),
  nonZero: Type.Integer(),
  macs: nullable(Type.Integer()),
  accuracy: nullable(Accuracy),
  fidelity: Fidelity,
  latencyMs: nullable(Latency),
});
export type Measures = Static<typeof Measures>;
export type Accuracy = Static<typeof Accuracy>;
export type Fidelity = Static<typeof Fidelity>;
export type Latency = Static<typeof Latency>;

export const ReportWarning = Type.Object({
  code: Type.String(),
  message: Type.String(),
  step: Type.Optional(Type.Integer()),
});
export type ReportWarning = Static<typeof ReportWarning>;

export const ExportedFile = Type.Object(
  {
    name: Type.String(),
    format: Type.String(),
    weights: Type.String({ description: 'how the file stores its weights' }),
    sizeBytes: Type.Integer(),
    gzipBytes: Type.Integer(),
    accuracy: nullable(Accuracy),
    fidelity: Fidelity,
  },
  { description: 'a file beside the ONNX one. Accuracy and fidelity are those of the file read back, in onnxruntime' },
);
export type ExportedFile = Static<typeof ExportedFile>;

const Drop = Type.Number({ description: 'how much worse the model gets by the metric; 0: not at all, less: better' });

export const LayerSensitivity = Type.Object({
  weight: Type.String({ description: "the layer's weight, as layer filters call it" }),
  nodes: Type.Array(Type.String(), { description: 'nodes and values that layer filters find it by as well' }),
  parameters: Type.Integer(),
  drop: { ...Drop, description: 'the greatest of its trials' },
  trials: Type.Array(
    Type.Object({
      kind: Type.Enum(['prune', 'int8'], {
        description: 'prune: the smallest weights are zeros; int8: weights have 8 bits, one scale per output channel',
      }),
      sparsity: nullable(Type.Number({ description: "prune: share of the layer's weights that are zero" })),
      drop: Drop,
      top1: nullable(Type.Number()),
      loss: nullable(Type.Number()),
      top1Agreement: nullable(Type.Number({ description: "share of samples whose arg-max is the untouched model's" })),
      sqnrDb: nullable(Type.Number({ description: "against the untouched model's outputs, dB; null: identical" })),
    }),
  ),
});

export const Sensitivity = Type.Object(
  {
    metric: Type.Enum(['top1', 'loss', 'top1Agreement', 'noise'], {
      description:
        'what `drop` counts. top1: accuracy that is lost, 0..1; loss: its growth as a share; without labels ' +
        'top1Agreement: share of samples that get another class; noise: squared difference of the outputs as a share ' +
        'of their squares',
    }),
    baseline: nullable(
      Type.Object(
        { top1: nullable(Type.Number()), loss: Type.Number() },
        { description: 'of the untouched model; null: no labels' },
      ),
    ),
    samples: Type.Integer(),
    data: Type.Enum(['validation', 'train', 'random'], {
      description:
        'validation: the split, or what training would hold out for it; train: a dataset of one sample; ' +
        'random: no dataset',
    }),
    tolerance: Type.Number({ description: 'a layer that costs more is recommended for exclusion' }),
    layers: Type.Array(LayerSensitivity, { description: 'the most sensitive first' }),
    recommendations: Type.Array(
      Type.Object({
        kind: Type.Enum(['prune', 'int8']),
        sparsity: nullable(Type.Number()),
        exclude: Type.Array(Type.String(), { description: 'weights, for `layers.exclude` of the step that does this' }),
      }),
    ),
  },
  {
    description:
      'analyze: what the model loses when one layer alone is pruned or quantized, measured in onnxruntime; ' +
      'nothing is retrained',
  },
);
export type Sensitivity = Static<typeof Sensitivity>;

export const ParallelFigures = Type.Object(
  {
    mode: Type.String(),
    replicas: Type.Integer({ description: 'processes that trained together, at the end' }),
    steps: Type.Integer({ description: 'training steps that the figures are means of' }),
    stepMs: Type.Array(Type.Number(), {
      description: "by replica: a training step's own computing, ms, without exchange and waiting",
    }),
    exchangeMs: Type.Number({ description: 'exchange of a training step, ms, for the replica that others waited for' }),
    waitShare: Type.Number({ description: '0..1 of the time of all replicas: waiting for a slower one, or for work' }),
    samplesPerSecond: Type.Optional(Type.Array(Type.Number(), { description: 'async, by replica' })),
    staleness: Type.Optional(
      Type.Array(Type.Integer(), {
        description: 'async: gradients by how many updates of the weights came between their pull and their use',
      }),
    ),
  },
  { description: 'how the processes of a parallel training spent their time' },
);
export type ParallelFigures = Static<typeof ParallelFigures>;

export const LoaderReport = Type.Object(
  {
    asked: Type.Union([Type.Integer(), Type.Literal('auto'), Type.Literal('cores')]),
    numWorkers: Type.Integer({ description: 'threads that made batches; with auto, the number that was chosen' }),
    waitShare: Type.Number({ description: 'share of the training time that the device waited for batches, 0..1' }),
  },
  { description: "how samples were loaded in the step's last training" },
);
export type LoaderReport = Static<typeof LoaderReport>;

export const Report = Type.Object({
  before: Measures,
  after: Measures,
  steps: Type.Array(
    Type.Object({
      technique: Type.String(),
      after: Measures,
      sensitivity: Type.Optional(Sensitivity),
      parallel: Type.Optional(ParallelFigures),
      loader: Type.Optional(LoaderReport),
    }),
  ),
  parallel: Type.Optional(ParallelFigures),
  exports: Type.Optional(Type.Array(ExportedFile)),
  warnings: Type.Array(ReportWarning),
});
export type Report = Static<typeof Report>;
