/** One node with its inputs; operator tests are lists of these. */
import { makeNode, type AttributeValue } from '../../../src/compression/ir/edit.ts';
import { fromHost, hostOf, isFloat } from '../../../src/compression/ir/tensor-data.ts';
import type { DataType, Model, Node } from '../../../src/compression/ir/types.ts';
import type { HostTensor } from '../../../src/compression/ir/host-tensor.ts';
import { modelOf } from '../graphs.ts';

export interface CaseInput {
  readonly dims: readonly number[];
  readonly dtype: DataType;
  readonly values: ArrayLike<number>;
  /** Given as an initializer rather than as an input of the model. */
  readonly constant: boolean;
  /** Differentiate by it. */
  readonly varies: boolean;
}

export interface OperatorCase {
  readonly type: string;
  /** '' for ONNX's own. */
  readonly domain: string;
  readonly note: string;
  readonly inputs: readonly (CaseInput | null)[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
  readonly opset: number;
  readonly outputs: number;
  /** False if the operator has no gradient, or none here. */
  readonly differentiable: boolean;
  /** Also inside a channels-last network. */
  readonly image: boolean;
  /** False if ONNX Runtime has no kernel for it, or is known to differ. */
  readonly runtime: boolean;
}

type Options = Partial<Omit<OperatorCase, 'type' | 'note' | 'inputs'>>;

/** A case; opset 18 unless said otherwise. */
export function given(
  type: string,
  note: string,
  inputs: readonly (CaseInput | null)[],
  attributes: OperatorCase['attributes'] = {},
  options: Options = {},
): OperatorCase {
  return {
    type,
    domain: '',
    note,
    inputs,
    attributes,
    opset: 18,
    outputs: 1,
    differentiable: true,
    image: false,
    runtime: true,
    ...options,
  };
}

/** Float32 values spread over a range, no two alike, in no order. */
export function x(dims: readonly number[], low = -1, high = 1): CaseInput {
  const count = dims.reduce((a, b) => a * b, 1);
  const values = Float32Array.from(
    { length: count },
    (_, i) => low + (high - low) * (((i + 1) * 0.6180339887498949 + count * 0.37) % 1),
  );
  return { dims, dtype: 'float32', values, constant: false, varies: true };
}

/** Float32 values as listed. */
export function exactly(dims: readonly number[], values: readonly number[]): CaseInput {
  return { dims, dtype: 'float32', values, constant: false, varies: true };
}

/** Whole numbers that the operator takes as they are: shapes, indices. */
export function ints(
  values: readonly number[],
  dims: readonly number[] = [values.length],
  dtype: DataType = 'int64',
): CaseInput {
  return { dims, dtype, values, constant: false, varies: false };
}

export function constant(input: CaseInput): CaseInput {
  return { ...input, constant: true };
}

export function fixed(input: CaseInput): CaseInput {
  return { ...input, varies: false };
}

export function nameOf(index: number): string {
  return `input${index}`;
}

/**
 * The model of a case with its floats of a type; for images between two poolings that do nothing, which make its layout
 * channels-last.
 */
export function modelOfCase(item: OperatorCase, floatType: DataType = 'float32', image = false): Model {
  const typed = item.inputs.map(
    (input) => input && { ...input, dtype: isFloat(input.dtype) ? floatType : input.dtype },
  );
  const wraps = (input: CaseInput | null): boolean =>
    image && input !== null && !input.constant && isFloat(input.dtype) && input.dims.length === 4;
  const outputs = Array.from({ length: item.outputs }, (_, i) => `output${i}`);
  const names = typed.map((input, i) => (input === null ? '' : wraps(input) ? `${nameOf(i)}_image` : nameOf(i)));
  const before = typed.flatMap((input, i) => (wraps(input) ? [pooling(nameOf(i), `${nameOf(i)}_image`)] : []));
  return modelOf({
    opset: item.opset,
    domains: item.domain === '' ? {} : { [item.domain]: 1 },
    nodes: [...before, makeNode(item.type, names, outputs, item.attributes, { domain: item.domain })],
    inputs: typed.flatMap((input, i) =>
      input && !input.constant ? [{ name: nameOf(i), type: { dtype: input.dtype, shape: input.dims } }] : [],
    ),
    initializers: typed.flatMap((input, i) => (input?.constant ? [fromHost(nameOf(i), hostOfInput(input))] : [])),
    outputs: outputs.map((name) => ({ name, type: null })),
  });
}

function pooling(input: string, output: string): Node {
  return makeNode('MaxPool', [input], [output], { kernel_shape: [1, 1] });
}

export function hostOfInput({ dtype, dims, values }: CaseInput): HostTensor {
  return hostOf(dtype, dims, values);
}
