/** The quantize technique: calls the method and warns about what it leaves unchanged. */
import { quantizationWarnings } from '../../graph/describe.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { Model, Tensor } from '../../ir/types.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { cast } from './cast/cast.ts';
import { quantizeDynamic } from './dynamic.ts';
import { takesFourBits } from './pack-integers.ts';
import { prepare } from './prepare.ts';
import { methodOf, type QuantizeParameters } from './spec.ts';
import { quantizeStatic } from './static/static.ts';
import { maySaturate } from './targets.ts';
import { quantizeWeights } from './weight-only.ts';
import { NOTABLE_SHARE, warnOfWeightsLeft } from './weights-left.ts';

/** Leaves quantized parts as they are, with a warning; a model without other parts is returned unchanged. */
export async function apply(
  state: ModelState,
  parameters: QuantizeParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const method = methodOf(parameters);
  for (const { code, message } of quantizationWarnings(state.model.graph, HALF_BITS))
    context.warn(code, `${message}; these parts are left as they are`);
  if (method === 'cast') return changed(state, await cast(state.model, parameters, context));
  const prepared = prepare(
    state.model,
    method === 'weight-only' && parameters.precision !== 'bfloat16' ? 0 : INTEGER_OPSET,
  );
  const model = await METHODS[method](prepared, parameters, context);
  if (model !== prepared) {
    warnOfWeightsLeft(model, parameters, context);
    return changed(state, model);
  }
  context.warn(
    'nothing-to-quantize',
    'The model has no float weights that the step selects and this method can quantize; it is unchanged',
  );
  return state;
}

const changed = (state: ModelState, model: Model): ModelState => ({
  ...state,
  model,
  quantized: state.quantized || model !== state.model,
});

/** From here on DequantizeLinear has scales per channel, and Cast knows bfloat16. */
const INTEGER_OPSET = 13;

/** Weights of this many bits are still floats, which every method accepts. */
const HALF_BITS = 16;

function packWeights(model: Model, parameters: QuantizeParameters, { warn }: StepContext): Model {
  const packed: Tensor[] = [];
  const result = quantizeWeights(model, parameters, (weight) => packed.push(weight));
  const wide = parameters.precision === 'int4' ? packed.filter((weight) => !takesFourBits(weight)) : [];
  const share =
    wide.reduce((sum, { dims }) => sum + elementCount(dims), 0) /
    packed.reduce((sum, { dims }) => sum + elementCount(dims), 0);
  if (share >= NOTABLE_SHARE)
    warn(
      'int4-as-int8',
      `${Math.round(share * 100)} % of the quantized weights take 8 bits, not 4: ` +
        `those of ${wide.length} weight(s) so small, or of so odd a number, ` +
        'that parting half bytes would cost more than it saves',
    );
  return result;
}

/**
 * Returns the same object if nothing was quantized. Weights that a method cannot compute with as integers are at least
 * stored as integers.
 */
const METHODS: Record<
  'weight-only' | 'static' | 'dynamic',
  (model: Model, parameters: QuantizeParameters, context: StepContext) => Promise<Model>
> = {
  'weight-only': async (model, parameters, context) => packWeights(model, parameters, context),
  static: async (model, parameters, context) =>
    quantizeWeights(await quantizeStatic(model, parameters, context), parameters),
  dynamic: async (model, parameters) =>
    quantizeWeights(
      quantizeDynamic(model, { ...parameters, mayRunSaturating: await maySaturate(parameters.target) }),
      parameters,
    ),
};
