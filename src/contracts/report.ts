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
  top1Agreement: nullable(Type.Number({ description: 'share of samples whose arg-max equals the original model\'s, 0..1' })),
  sqnrDb: nullable(Type.Number({ description: 'signal to quantization noise against the original\'s outputs, dB; null: identical' })),
  maxAbsError: Type.Number(),
  samples: Type.Integer(),
});
export const Latency = Type.Object({
  median: Type.Number({ description: 'ms' }),
  p90: Type.Number({ description: 'ms' }),
  batch: Type.Integer(),
  threads: Type.Integer(),
  runs: Type.Integer(),
  runtime: Type.String({ description: 'runtime and version' }),
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

export const ReportWarning = Type.Object({ code: Type.String(), message: Type.String(), step: Type.Optional(Type.Integer()) });
export type ReportWarning = Static<typeof ReportWarning>;

export const ExportedFile = Type.Object({
  name: Type.String(),
  format: Type.String(),
  weights: Type.String({ description: 'how the file stores its weights' }),
  sizeBytes: Type.Integer(),
  gzipBytes: Type.Integer(),
  accuracy: nullable(Accuracy),
  fidelity: Fidelity,
}, { description: 'a file beside the ONNX one. Accuracy and fidelity are those of the file read back, in onnxruntime' });
export type ExportedFile = Static<typeof ExportedFile>;

export const Report = Type.Object({
  before: Measures,
  after: Measures,
  steps: Type.Array(Type.Object({ technique: Type.String(), after: Measures })),
  exports: Type.Optional(Type.Array(ExportedFile)),
  warnings: Type.Array(ReportWarning),
});
export type Report = Static<typeof Report>;
