/** The quantize technique: which method does what, and what is left alone. */
import { cast } from './cast/cast.ts';
import { prepare } from './prepare.ts';
import { quantizeDynamic } from './dynamic.ts';
import { methodOf, type QuantizeParameters } from './spec.ts';
import { quantizeStatic } from './static/static.ts';
import { quantizeWeights } from './weight-only.ts';
import type { ModelState, StepContext } from '../technique.ts';

export async function apply(state: ModelState, parameters: QuantizeParameters, context: StepContext): Promise<ModelState> {
  context.signal.throwIfAborted();
  const model = await METHODS[methodOf(parameters)](state, parameters, context);
  return { ...state, model, quantized: state.quantized || model !== state.model };
}

/** From here on DequantizeLinear has scales per channel, and Cast knows bfloat16. */
const INTEGER_OPSET = 13;

type Method = (state: ModelState, parameters: QuantizeParameters, context: StepContext) => Promise<ModelState['model']>;

const METHODS: Record<ReturnType<typeof methodOf>, Method> = {
  'weight-only': async ({ model }, parameters) => quantizeWeights(prepare(model, parameters.precision === 'bfloat16' ? INTEGER_OPSET : 0), parameters),
  static: async ({ model }, parameters, context) => quantizeWeights(await quantizeStatic(prepare(model, INTEGER_OPSET), parameters, context), parameters),
  dynamic: async ({ model }, parameters) => quantizeWeights(quantizeDynamic(prepare(model, INTEGER_OPSET), parameters), parameters),
  cast: ({ model }, parameters, context) => cast(model, parameters, context),
};
