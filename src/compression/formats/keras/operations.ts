/** Every function of keras.ops that a functional model may hold as a node, by the class that Keras serializes. */
import { INDEX_OPERATIONS } from './operations/index.ts';
import { ELEMENTWISE_OPERATIONS } from './operations/elementwise.ts';
import { NN_OPERATIONS } from './operations/nn.ts';
import type { Operation } from './operations/operation.ts';
import { REDUCE_OPERATIONS } from './operations/reduce.ts';
import { SHAPE_OPERATIONS } from './operations/shape.ts';

export const KERAS_OPERATIONS: ReadonlyMap<string, Operation> = new Map(
  Object.entries({
    ...ELEMENTWISE_OPERATIONS,
    ...REDUCE_OPERATIONS,
    ...SHAPE_OPERATIONS,
    ...INDEX_OPERATIONS,
    ...NN_OPERATIONS,
  }),
);
