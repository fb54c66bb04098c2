/**
 * Prepares a model for quantization: weights in one form and in float32, BatchNormalization folded, activations as
 * separate nodes, no identity nodes.
 */
import { constantsAsInitializers } from '../../graph/passes/constants-as-initializers.ts';
import { foldBatchNorm } from '../../graph/passes/fold-batch-norm.ts';
import { upgradeOpset } from '../../graph/passes/upgrade-opset.ts';
import { removeIdentities } from '../../graph/passes/remove-identities.ts';
import { splitFused } from '../../graph/passes/split-fused.ts';
import { castToSingle } from './cast/single.ts';
import type { Model } from '../../ir/types.ts';

/** `opset`: the lowest that is needed. */
export function prepare(model: Model, opset: number): Model {
  return foldBatchNorm(
    removeIdentities(constantsAsInitializers(splitFused(upgradeOpset(castToSingle(model, true), opset)))),
  );
}
