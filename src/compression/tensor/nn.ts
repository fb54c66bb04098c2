/** The differentiable primitives of networks, channels last: fast on TensorFlow's kernels, working on every engine. */
export { conv, convTranspose } from './nn/conv.ts';
export type { ConvOptions, ConvTransposeOptions } from './nn/conv.ts';
export { maxPool, averagePool } from './nn/pool.ts';
export type { PoolOptions } from './nn/pool.ts';
export { afterBatchNorm, batchNormTraining, batchNormInference, layerNorm } from './nn/normalize.ts';
export type { AfterBatchNorm } from './nn/normalize.ts';
export { sharedBatchNorm } from './nn/shared-batch-norm.ts';
export type { SharedBatch } from './nn/shared-batch-norm.ts';
export { biasAdd, clip, RELU, relu, softmax } from './nn/activation.ts';
export type { Clipping } from './nn/activation.ts';
export { matMul } from './nn/matmul.ts';
export { pickNumbers } from './nn/pick.ts';
export { softmaxCrossEntropy } from './nn/loss.ts';
export { statelessNormal, statelessUniform } from './nn/random.ts';
export { attention, composedAttention, inverseOrder, HEADS_FIRST, TOKENS_FIRST } from './nn/attention.ts';
export type { AttentionOptions, HeadOrder } from './nn/attention.ts';
