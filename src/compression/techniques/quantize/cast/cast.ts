/** The cast method: converts a whole model to another float type. */
import type { Model } from '../../../ir/types.ts';
import { layerMatcher } from '../../layer-filter.ts';
import type { StepContext } from '../../../step/step-context.ts';
import { observationInputs } from '../inputs.ts';
import { prepare } from '../prepare.ts';
import type { QuantizeParameters } from '../spec.ts';
import { observe } from '../static/observe.ts';
import { quantizeWeights } from '../weight-only.ts';
import { castToHalf, MAX_FLOAT16 } from './half.ts';
import { castToSingle } from './single.ts';
import { valueTypes } from './value-types.ts';

/** Samples run to find values beyond float16's range, and the safe part of the range for other samples. */
const SEEN_SAMPLES = 8;
const TRUSTED_SHARE = 0.5;
/** The first whose Cast knows bfloat16. */
const BFLOAT16_OPSET = 13;

/**
 * float32: converts every other float type. float16: converts every value that allows it. bfloat16: converts stored
 * weights only and computes in float32, since onnxruntime's CPU kernels lack it; the file opens everywhere and is half
 * as large.
 */
export async function cast(model: Model, parameters: QuantizeParameters, context: StepContext): Promise<Model> {
  const { precision, keepIO } = parameters;
  const single = castToSingle(model, keepIO);
  if (precision === 'float32') return single;
  if (precision === 'bfloat16') return quantizeWeights(prepare(model, BFLOAT16_OPSET), parameters);
  const plain = prepare(single, 0);
  const types = await valueTypes(plain);
  const tooLarge = await valuesBeyond(
    plain,
    [...types].filter(([, dtype]) => dtype === 'float32').map(([name]) => name),
    context,
  );
  const half = castToHalf(plain, { keepIO, types, tooLarge, selected: layerMatcher(parameters.layers) });
  // store the rest (subgraphs, other domains), which computes in float32, as half floats
  return quantizeWeights(half, parameters);
}

/** Values that approach or exceed the largest half float on samples (random ones without a dataset). */
async function valuesBeyond(model: Model, names: readonly string[], context: StepContext): Promise<Set<string>> {
  const computed = new Set(model.graph.nodes.flatMap(({ outputs }) => outputs));
  const wanted = names.filter((name) => computed.has(name));
  try {
    const passes = await observationInputs(model, SEEN_SAMPLES, context);
    const { values } = await observe(model, wanted, passes, {
      histograms: false,
      sized: [],
      signal: context.signal,
      onProgress: (share) => context.report({ progress: 0.8 * share }),
    });
    return new Set(
      [...values]
        .filter(([, { low, high }]) => Math.max(-low, high) > MAX_FLOAT16 * TRUSTED_SHARE)
        .map(([name]) => name),
    );
  } catch (error) {
    context.signal.throwIfAborted();
    context.warn(
      'ranges-not-seen',
      `The model could not be run to look for values beyond float16: ${(error as Error).message}`,
    );
    return new Set();
  }
}
