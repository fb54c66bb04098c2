/** Attention as onnx's reference evaluator computes it (scripts/make-attention-cases.py), and its gradient against finite differences. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isFloat } from '../../../src/compression/graph/tensor-data.ts';
import { makeNode } from '../../../src/compression/graph/edit.ts';
import type { DataType, Model } from '../../../src/compression/graph/types.ts';
import { difference } from '../../../src/compression/network/compare.ts';
import type { Value } from '../../../src/compression/operators/operator.ts';
import { modelOf, value } from '../graphs.ts';
import { given, hostOfInput, type CaseInput, type OperatorCase } from './case.ts';
import { checkGradient, feedOf, runModel } from './check.ts';

interface Stored {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  /** Numbers, or the names of those that JSON has none for. */
  readonly values: readonly (number | string)[];
}

interface StoredCase {
  readonly note: string;
  readonly opset: number;
  readonly dtype: DataType;
  readonly ints: Readonly<Record<string, number>>;
  readonly floats: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Stored>>;
  readonly outputs: Readonly<Record<string, Stored>>;
}

const CASES = JSON.parse(readFileSync('test/data/attention.json', 'utf8')) as readonly StoredCase[];
const INPUTS = ['Q', 'K', 'V', 'mask', 'past_key', 'past_value', 'lengths'];
const OUTPUTS = ['Y', 'present_key', 'present_value', 'scores'];

/** Float32 kernels of different libraries; 16-bit floats to two units in the last place, which two orders of summation may give. */
const TOLERANCES: Partial<Record<DataType, { readonly relative: number; readonly absolute: number }>> = {
  float32: { relative: 2e-5, absolute: 2e-6 }, float16: { relative: 2 ** -9, absolute: 2 ** -10 }, bfloat16: { relative: 2 ** -6, absolute: 2 ** -7 },
};
const PRECISIONS: Readonly<Record<number, DataType>> = { 10: 'float16', 16: 'bfloat16' };

const namesOf = (order: readonly string[], present: Readonly<Record<string, Stored>>): string[] => {
  const last = order.findLastIndex((name) => name in present);
  return order.slice(0, last + 1).map((name) => (name in present ? name : ''));
};

function inputOf({ dtype, dims, values }: Stored): CaseInput {
  const numbers = values.map((item) => Number(item === 'inf' ? Infinity : item === '-inf' ? -Infinity : item));
  return { dtype, dims, values: numbers, constant: false, varies: isFloat(dtype) && numbers.every(Number.isFinite) };
}

const attributesOf = ({ ints, floats }: StoredCase): OperatorCase['attributes'] => ({ ...ints, ...Object.fromEntries(Object.entries(floats).map(([name, float]) => [name, { float }])) });

function modelOfStored(item: StoredCase): Model {
  return modelOf({
    opset: item.opset, nodes: [makeNode('Attention', namesOf(INPUTS, item.inputs), namesOf(OUTPUTS, item.outputs), attributesOf(item))],
    inputs: Object.entries(item.inputs).map(([name, { dims, dtype }]) => value(name, dims, dtype)), outputs: Object.keys(item.outputs).map((name) => value(name, null, item.dtype)),
  });
}

function feedsOf(item: StoredCase): Map<string, Value> {
  return new Map(Object.entries(item.inputs).map(([name, stored]) => [name, feedOf(inputOf(stored))]));
}

/** All outputs that the case asks for, to the precision that it computes its softmax in. */
function checkStored(item: StoredCase): void {
  const outputs = runModel(modelOfStored(item), () => feedsOf(item));
  const tolerance = TOLERANCES[PRECISIONS[item.ints.softmax_precision ?? 0] ?? item.dtype]!;
  for (const [name, stored] of Object.entries(item.outputs)) {
    expect({ name, difference: difference(outputs.get(name)!, hostOfInput(inputOf(stored)), tolerance) }).toEqual({ name, difference: null });
  }
}

/** As a case that is differentiated: by everything that is finite. */
function gradientCase(item: StoredCase): OperatorCase {
  const inputs = namesOf(INPUTS, item.inputs).map((name) => (name === '' ? null : inputOf(item.inputs[name]!)));
  return given('Attention', item.note, inputs, attributesOf(item), { opset: item.opset });
}

/** Rounding has no finite differences, and NaN no gradient. */
const isSmooth = ({ dtype, ints, note }: StoredCase): boolean => dtype === 'float32' && !(PRECISIONS[ints.softmax_precision ?? 0]) && !note.includes('NaN');

export function describeAttention(): void {
  describe('Attention of opsets 23 to 28, as the standard says', () => {
    test.each(CASES.map((item) => [item.note, item] as const))('%s', (_, item) => checkStored(item));
    test.each(CASES.filter(isSmooth).map((item) => [item.note, item] as const))('differentiates: %s', (_, item) => checkGradient(gradientCase(item)));
  });
}
