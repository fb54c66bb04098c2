import { Type } from 'typebox';
import type { ErrorDetail } from '../../../errors.ts';
import type { WeightStorage } from '../../formats/write-model.ts';
import { LayerFilter } from '../layer-filter.ts';
import type { TechniqueSpec } from '../technique.ts';

const Calibration = Type.Object(
  {
    method: Type.Enum(['auto', 'min-max', 'percentile', 'entropy', 'mse'], {
      default: 'auto',
      description:
        'how the range of an activation follows from what was seen: its extremes; its 99.99th percentile; ' +
        'the range of least KL divergence; of least squared error; ' +
        "auto tries all of them and keeps what comes closest to the float model's outputs",
    }),
    samples: Type.Integer({
      minimum: 1,
      maximum: 100_000,
      default: 256,
      description: 'training samples that are run to see the activations',
    }),
  },
  { additionalProperties: false, default: {}, description: 'static: how activations are observed' },
);

const Parameters = Type.Object(
  {
    precision: Type.Enum(['float32', 'float16', 'bfloat16', 'int8', 'int4'], {
      default: 'int8',
      description: 'type that weights, and with some methods activations, are brought to',
    }),
    method: Type.Enum(['auto', 'cast', 'weight-only', 'dynamic', 'static'], {
      default: 'auto',
      description:
        'cast: every float (float32, float16; bfloat16: weights). weight-only: ' +
        'weights are stored small and unpacked when the model is loaded. dynamic: weights, and ' +
        'activations of matrix products by the range of each run. static: ' +
        'weights and activations by calibrated ranges. auto: cast for floats, static for int8, ' +
        'weight-only for int4',
    }),
    calibration: Calibration,
    perChannel: Type.Boolean({
      default: true,
      description: 'int8: a scale for each output channel of a weight, not one for all of it',
    }),
    symmetric: Type.Boolean({
      default: true,
      description:
        'int8: weights are coded around zero; false: over their own range, with a zero point (static: ' +
        'only with perChannel false)',
    }),
    activations: Type.Enum(['uint8', 'int8'], {
      default: 'uint8',
      description: 'static: type of quantized activations; their ranges need not be symmetric in either',
    }),
    where: Type.Enum(['faster', 'everywhere'], {
      default: 'faster',
      description:
        'static: faster leaves computing in float what integers would make slower (islands of depthwise ' +
        'convolutions); everywhere quantizes all that can be',
    }),
    target: Type.Enum(['any', 'x86-vnni', 'x86-avx2', 'arm64', 'this-machine'], {
      default: 'any',
      description:
        'static and dynamic: processors that the file is made for. any: computes the same, to rounding, ' +
        'on x86 with and without VNNI and on ARM: weights are coded so that no sum of two ' +
        'products passes 16 bits, and integers are used where no measured processor is slower by them. x86-avx2, ' +
        'x86-vnni, arm64: that kind alone; the last two take all 8 bits of every weight. this-machine: ' +
        'what the worker has',
    }),
    reduceRange: Type.Boolean({
      default: false,
      description:
        'static and dynamic: weights of 7 bits, for runtimes other than onnxruntime that saturate in ways of their own',
    }),
    blockSize: Type.Integer({
      minimum: 0,
      maximum: 65_536,
      default: 0,
      description:
        'weight-only: weights in a row along the inputs of a channel that share a scale (rounded down to a ' +
        'divisor of their number); 0: the whole channel for int8, 32 for int4',
    }),
    keepIO: Type.Boolean({
      default: true,
      description: "cast: the model's inputs and outputs keep their types; false: they change as well",
    }),
    layers: LayerFilter,
  },
  { additionalProperties: false },
);

export type QuantizeParameters = Type.Static<typeof Parameters>;
export type CalibrationMethod = QuantizeParameters['calibration']['method'];

type Method = Exclude<QuantizeParameters['method'], 'auto'>;

/** The first is what 'auto' takes. */
const METHODS: Readonly<Record<QuantizeParameters['precision'], readonly [Method, ...Method[]]>> = {
  float32: ['cast'],
  float16: ['cast', 'weight-only'],
  bfloat16: ['cast', 'weight-only'],
  int8: ['static', 'weight-only', 'dynamic'],
  int4: ['weight-only'],
};

/** The effective method: 'auto' is the precision's first. */
export function methodOf({ precision, method }: Pick<QuantizeParameters, 'precision' | 'method'>): Method {
  return method === 'auto' ? METHODS[precision][0] : method;
}

/** Cost of calibration, in forward passes of one sample. */
const CALIBRATION_PASSES = 4 * 512;

const STORAGE: Readonly<Partial<Record<QuantizeParameters['precision'], WeightStorage>>> = {
  float16: 'float16',
  int8: 'uint8',
  int4: 'uint8',
};

export const spec: TechniqueSpec<typeof Parameters> = {
  name: 'quantize',
  version: 1,
  summary: 'Brings weights and activations to fewer bits: half floats, 8-bit or 4-bit integers.',
  paper:
    'Jacob et al. 2018, arXiv 1712.05877; Krishnamoorthi 2018, arXiv 1806.08342; Nagel et al. 2021, arXiv 2106.08295',
  parameters: Parameters,
  neutral: { precision: 'float32', method: 'cast' },
  keepsCodebooks: (parameters) => ['cast', 'weight-only'].includes(methodOf(parameters)),
  needs: (parameters) => ({ data: methodOf(parameters) === 'static' ? 'optional' : 'none', trainable: false }),
  usesOriginal: () => false,
  changesFloatWeights: () => false,
  storage: ({ precision }) => STORAGE[precision] ?? null,
  cost: (parameters, { forwardSeconds }) =>
    methodOf(parameters) === 'static' ? CALIBRATION_PASSES * forwardSeconds : 0,
  contradictions,
  contradictsAfter: (_parameters, { index, storage }) =>
    storage === 'uint8' ? `already-quantized: step ${index} has quantized the model to integers` : null,
  saturationRemedy: 'quantize\'s target "any" codes weights so that this cannot happen',
};

function contradictions(parameters: QuantizeParameters): ErrorDetail[] {
  const { precision, method, symmetric, perChannel, blockSize } = parameters;
  const problems: ErrorDetail[] = [];
  if (method !== 'auto' && !METHODS[precision].includes(method)) {
    problems.push({
      path: '/method',
      message: `${precision} has the methods ${METHODS[precision].join(', ')}; not ${method}`,
    });
    return problems;
  }
  const chosen = methodOf(parameters);
  if (!symmetric && chosen === 'dynamic')
    problems.push({ path: '/symmetric', message: 'dynamic codes weights around zero; leave symmetric true' });
  if (!symmetric && perChannel && chosen === 'static')
    problems.push({
      path: '/symmetric',
      message: 'integer kernels take one zero point per weight: with symmetric false set perChannel false',
    });
  if (blockSize > 0 && chosen !== 'weight-only')
    problems.push({ path: '/blockSize', message: `blocks are for weight-only; the method is ${chosen}` });
  if (blockSize > 0 && chosen === 'weight-only' && !precision.startsWith('int'))
    problems.push({ path: '/blockSize', message: 'blocks are for integers' });
  return problems;
}
