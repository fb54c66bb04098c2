/**
 * Checks one case: the device's form and the host's against ONNX Runtime, and the gradient against finite differences:
 * in float64 by the host's form, or, where there is none, of the device's own form, extrapolated.
 */
import * as ort from 'onnxruntime-node';
import { expect } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { withInitializers } from '../../../src/compression/ir/edit.ts';
import { inferShapes } from '../../../src/compression/graph/infer.ts';
import { unsignedWeights } from '../../../src/compression/graph/passes/unsigned-weights.ts';
import { fromHost, isFloat } from '../../../src/compression/ir/tensor-data.ts';
import type { DataType, Model } from '../../../src/compression/ir/types.ts';
import { difference } from '../../../src/compression/agreement/compare.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import type { HostTensor } from '../../../src/compression/ir/host-tensor.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { findOperator } from '../../../src/compression/operators/registry.ts';
import { download, upload } from '../../../src/compression/operators/transfer.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../../src/compression/tensor/tf.ts';
import { hostOfInput, modelOfCase, nameOf, type CaseInput, type OperatorCase } from './case.ts';

/** Float32 kernels of different libraries. */
const FORWARD = { relative: 2e-5, absolute: 2e-6 };
/** Float32 gradients against differences whose own error is below 1e-7. */
const GRADIENT = 2e-4;
const STEP = 1e-5;
/** Differences of float32 results: rounding weighs in, so that the step is larger and the bound wider. */
const DEVICE_GRADIENT = 3e-3;
const DEVICE_STEP = 4e-3;

/** Device and host forms give ONNX Runtime's results, in the inferred shapes. */
export async function checkForward(item: OperatorCase): Promise<void> {
  const model = modelOfCase(item);
  const expected = await reference(item, model);
  expectSame('device form', runOnDevice(item, model), expected);
  if (item.image) expectSame('channels last', runOnDevice(item, modelOfCase(item, 'float32', true)), expected);
  expectForetold(item, model, expected);
}

/** ONNX Runtime's outputs; the host form's, where there is one, which must be the same. */
async function reference(item: OperatorCase, model: Model): Promise<HostTensor[]> {
  if (!hasHostForm(item)) return runInRuntime(item, model);
  const onHost = runOnHost(item, 'float32');
  if (item.runtime) expectSame('host form', onHost, await runInRuntime(item, model));
  return onHost;
}

const operatorOf = ({ domain, type, opset }: OperatorCase) => findOperator(domain, type, domain === '' ? opset : 1);
const hasHostForm = (item: OperatorCase): boolean => operatorOf(item)?.host !== undefined;

function expectSame(what: string, got: readonly HostTensor[], want: readonly HostTensor[]): void {
  want.forEach((tensor, i) =>
    expect({ what, output: i, difference: difference(got[i]!, tensor, FORWARD) }).toEqual({
      what,
      output: i,
      difference: null,
    }),
  );
}

/** Inferred types are those of the values; dimensions left open are allowed. */
function expectForetold(item: OperatorCase, model: Model, values: readonly HostTensor[]): void {
  const types = inferShapes(model);
  values.forEach((value, i) => {
    const type = types.typeOf(`output${i}`);
    expect(type?.dtype).toBe(value.dtype);
    if (type?.shape)
      expect(type.shape.map((dim, axis) => (typeof dim === 'number' ? dim : value.dims[axis]))).toEqual(value.dims);
  });
}

/** The gradient of a weighted sum of the outputs along a direction, for every input that varies. */
export function checkGradient(item: OperatorCase, image = false): void {
  const model = modelOfCase(item, 'float32', image);
  const varying = item.inputs.flatMap((input, i) => (input?.varies ? [i] : []));
  const gradients = gradientsOnDevice(item, model, varying);
  varying.forEach((index, k) => {
    const direction = spreadOf(item.inputs[index]!.values.length, 3 + index);
    const exact = hasHostForm(item);
    const expected = exact ? slope(item, index, direction) : deviceSlope(item, model, index, direction);
    const actual = dot(gradients[k]!, direction);
    const scale = Math.max(Math.abs(expected), norm(gradients[k]!), 1e-3);
    expect(Math.abs(actual - expected) / scale, `input ${index}: ${actual} should be ${expected}`).toBeLessThan(
      exact ? GRADIENT : DEVICE_GRADIENT,
    );
  });
}

function gradientsOnDevice(item: OperatorCase, model: Model, varying: readonly number[]): Float32Array[] {
  const network = lowerOrThrow(model);
  try {
    return tf.tidy(() => {
      const objective = (...moved: TfTensor[]): TfTensor => {
        const feeds = feedsOf(item, (input, index) =>
          input.varies ? { kind: 'device', dtype: 'float32', tensor: moved[varying.indexOf(index)]! } : undefined,
        );
        const { outputs } = network.run(feeds, { training: false });
        const terms = floatOutputs([...outputs.values()]).map((tensor, i) =>
          tf.sum(tf.mul(tensor, tf.tensor(Float32Array.from(spreadOf(tensor.size, i)), tensor.shape))),
        );
        return tf.addN(terms);
      };
      const inputs = varying.map((index) => upload(hostOfInput(item.inputs[index]!)));
      return (tf.grads(objective as never)(inputs) as TfTensor[]).map((tensor) => tensor.dataSync() as Float32Array);
    });
  } finally {
    network.dispose();
  }
}

function floatOutputs(values: readonly Value[]): TfTensor[] {
  return values.flatMap((value) => (value.kind === 'device' && isFloat(value.dtype) ? [value.tensor] : []));
}

/** Central difference of the same weighted sum, by the operator's exact form on float64. */
function slope(item: OperatorCase, index: number, direction: readonly number[]): number {
  const at = (sign: number): number => {
    const inputs = item.inputs.map((input, i) =>
      i === index && input
        ? { ...input, values: Float64Array.from(input.values, (value, k) => value + sign * STEP * direction[k]!) }
        : input,
    );
    const outputs = runOnHost({ ...item, inputs }, 'float64').filter(({ dtype }) => isFloat(dtype));
    return outputs.reduce((sum, { data }, i) => sum + dot(data as Float64Array, spreadOf(data.length, i)), 0);
  };
  return (at(1) - at(-1)) / (2 * STEP);
}

/** The same by the device form: differences at two steps, extrapolated to none (Richardson, 1911). */
function deviceSlope(item: OperatorCase, model: Model, index: number, direction: readonly number[]): number {
  const at = (step: number): number => {
    const inputs = item.inputs.map((input, i) =>
      i === index && input
        ? { ...input, values: Float32Array.from(input.values, (value, k) => value + step * direction[k]!) }
        : input,
    );
    const outputs = runOnDevice({ ...item, inputs }, model).filter(({ dtype }) => isFloat(dtype));
    return outputs.reduce((sum, { data }, i) => sum + dot(data as Float32Array, spreadOf(data.length, i)), 0);
  };
  const central = (step: number): number => (at(step) - at(-step)) / (2 * step);
  return (4 * central(DEVICE_STEP / 2) - central(DEVICE_STEP)) / 3;
}

/** The operator's host form, floats of one type. */
function runOnHost(item: OperatorCase, floatType: DataType): HostTensor[] {
  const model = modelOfCase(item, floatType);
  const operator = operatorOf(item)!;
  const inputs = item.inputs.map(
    (input) => input && hostOfInput({ ...input, dtype: isFloat(input.dtype) ? floatType : input.dtype }),
  );
  return operator.host!(inputs, inferShapes(model).info(model.graph.nodes[0]!)).slice(0, item.outputs);
}

function runOnDevice(item: OperatorCase, model: Model): HostTensor[] {
  return [...runModel(model, () => feedsOf(item, () => undefined)).values()];
}

/** Outputs of the engine by name. */
export function runModel(model: Model, feeds: () => ReadonlyMap<string, Value>): Map<string, HostTensor> {
  const network = lowerOrThrow(model);
  try {
    const results = new Map<string, HostTensor>();
    tf.tidy(() => {
      for (const [name, value] of network.run(feeds(), { training: false }).outputs)
        results.set(name, value.kind === 'host' ? value.value : download(value.tensor, value.dtype));
    });
    return results;
  } finally {
    network.dispose();
  }
}

/** Floats and masks on the device, integers exact on the host. */
function feedsOf(item: OperatorCase, own: (input: CaseInput, index: number) => Value | undefined): Map<string, Value> {
  const feeds = new Map<string, Value>();
  item.inputs.forEach((input, i) => {
    if (!input || input.constant) return;
    feeds.set(nameOf(i), own(input, i) ?? feedOf(input));
  });
  return feeds;
}

export function feedOf(input: CaseInput): Value {
  const host = hostOfInput(input);
  return isFloat(host.dtype) || host.dtype === 'bool'
    ? { kind: 'device', dtype: host.dtype, tensor: upload(host) }
    : { kind: 'host', value: host };
}

/**
 * ONNX Runtime multiplies int8 weights with saturation on some processors: they are given to it as constants, in the
 * uint8 form that it multiplies exactly.
 */
async function runInRuntime(item: OperatorCase, model: Model): Promise<HostTensor[]> {
  const codes = item.inputs.flatMap((input, i) =>
    input?.dtype === 'int8' && !input.constant ? [fromHost(nameOf(i), hostOfInput(input))] : [],
  );
  const constant = new Set(codes.map(({ name }) => name));
  const graph = withInitializers(model.graph, codes);
  const exact = unsignedWeights({
    ...model,
    graph: { ...graph, inputs: graph.inputs.filter(({ name }) => !constant.has(name)) },
  });
  const session = await ort.InferenceSession.create(writeOnnx(exact), {
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    const results = await session.run(
      Object.fromEntries(
        item.inputs.flatMap((input, i) =>
          input && !input.constant && !constant.has(nameOf(i)) ? [[nameOf(i), runtimeTensor(hostOfInput(input))]] : [],
        ),
      ),
    );
    return session.outputNames.map((name) => {
      const { type, dims, data } = results[name]!;
      return { dtype: type, dims, data: data as Float32Array };
    });
  } finally {
    await session.release();
  }
}

function runtimeTensor({ dtype, dims, data }: HostTensor): ort.Tensor {
  return new ort.Tensor(dtype as 'float32', data as Float32Array, [...dims]);
}

function spreadOf(length: number, salt: number): number[] {
  return Array.from({ length }, (_, i) => Math.sin(1.7 * i + salt) + 0.3);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function norm(a: ArrayLike<number>): number {
  return Math.sqrt(dot(a, a));
}
