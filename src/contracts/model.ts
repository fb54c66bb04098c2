/** What clients see of an uploaded model. */
import { Type, type Static } from 'typebox';

export const TensorDescription = Type.Object({
  name: Type.String(),
  dtype: Type.String({ description: 'ONNX element type, lower case' }),
  shape: Type.Array(Type.Union([Type.Integer(), Type.Null()]), { description: 'null: a dimension left open' }),
});
export type TensorDescription = Static<typeof TensorDescription>;

export const ModelInput = Type.Interface([TensorDescription], {
  tableRows: Type.Optional(
    Type.Integer({ description: 'rows of the smallest table that the values of this integer input index' }),
  ),
});
export type ModelInput = Static<typeof ModelInput>;

export const MODEL_FORMATS = ['onnx', 'keras-h5', 'keras', 'tfjs-layers', 'tfjs-graph'] as const;
export const ModelFormat = Type.Enum(MODEL_FORMATS);
export type ModelFormat = (typeof MODEL_FORMATS)[number];

export const UntrainableNode = Type.Object({
  node: Type.String(),
  operator: Type.String(),
  reason: Type.String(),
});
export type UntrainableNode = Static<typeof UntrainableNode>;

/** Everything known of a model from its bytes alone; the API adds id, name and date. */
export const ModelDescription = Type.Object({
  format: ModelFormat,
  parameters: Type.Integer({ description: 'elements of all weights' }),
  macs: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'multiply-accumulates of one sample (convolutions, matrix products, recurrences, attention); null where ' +
      'shapes are unknown',
  }),
  inputs: Type.Array(ModelInput),
  outputs: Type.Array(TensorDescription),
  opset: Type.Integer(),
  operators: Type.Record(Type.String(), Type.Integer(), { description: 'count by operator type' }),
  trainable: Type.Boolean(),
  untrainable: Type.Array(UntrainableNode),
  warnings: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
});
export type ModelDescription = Static<typeof ModelDescription>;
