/**
 * The only import of tfjs: every other file takes `tf` from here. The umbrella package is needed, since tfjs-core alone
 * registers no gradients; it is loaded with `require`, so that ESM and the native backend's CommonJS files share one
 * instance.
 */
import { createRequire } from 'node:module';
import type * as tfjs from '@tensorflow/tfjs';

export const tf = createRequire(import.meta.url)('@tensorflow/tfjs') as typeof tfjs;
export type TfTensor = tfjs.Tensor;
export type TfVariable = tfjs.Variable;
