/**
 * Nodes as onnx's reference evaluator computes them (test/generators/make-operator-cases.py), and their gradients
 * against finite differences.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { isFloat } from '../../../src/compression/ir/tensor-data.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import type { DataType, Model } from '../../../src/compression/ir/types.ts';
import { difference } from '../../../src/compression/agreement/compare.ts';
import { modelOf, value } from '../graphs.ts';
import { given, hostOfInput, nameOf, type CaseInput, type OperatorCase } from './case.ts';
import { checkGradient, feedOf, runModel } from './check.ts';

interface Stored {
  readonly dtype: DataType;
  readonly dims: readonly number[];
  /** Numbers, or the names of those that JSON has none for. */
  readonly values: readonly (number | string)[];
}

interface StoredCase {
  readonly type: string;
  readonly note: string;
  readonly opset: number;
  readonly ints: Readonly<Record<string, number>>;
  readonly floats: Readonly<Record<string, number>>;
  readonly strings: Readonly<Record<string, string>>;
  /** null: left out. */
  readonly inputs: readonly (Stored | null)[];
  readonly outputs: readonly (Stored | null)[];
}

const CASES = JSON.parse(readFileSync('test/data/operator-cases.json', 'utf8')) as readonly StoredCase[];

/**
 * Float32 kernels of different libraries; 16-bit floats to two units in the last place, which two orders of summation
 * may give.
 */
const TOLERANCES: Partial<Record<DataType, { readonly relative: number; readonly absolute: number }>> = {
  float16: { relative: 2 ** -9, absolute: 2 ** -10 },
  bfloat16: { relative: 2 ** -6, absolute: 2 ** -7 },
};
const FLOAT32 = { relative: 2e-5, absolute: 2e-6 };
/** What Attention may compute its softmax in. */
const PRECISIONS: Readonly<Record<number, DataType>> = { 10: 'float16', 16: 'bfloat16' };

const dtypeOf = ({ inputs }: StoredCase): DataType => inputs[0]!.dtype;
const precisionOf = (item: StoredCase): DataType => PRECISIONS[item.ints.softmax_precision ?? 0] ?? dtypeOf(item);
const outputName = (index: number): string => `output${index}`;

function inputOf({ dtype, dims, values }: Stored): CaseInput {
  const numbers = values.map((item) => Number(item === 'inf' ? Infinity : item === '-inf' ? -Infinity : item));
  return { dtype, dims, values: numbers, constant: false, varies: isFloat(dtype) && numbers.every(Number.isFinite) };
}

function attributesOf({ ints, floats, strings }: StoredCase): OperatorCase['attributes'] {
  return {
    ...ints,
    ...strings,
    ...Object.fromEntries(Object.entries(floats).map(([name, float]) => [name, { float }])),
  };
}

const present = (list: readonly (Stored | null)[]): [Stored, number][] =>
  list.flatMap((item, i): [Stored, number][] => (item ? [[item, i]] : []));

function modelOfStored(item: StoredCase): Model {
  const names = (list: readonly (Stored | null)[], name: (index: number) => string): string[] =>
    list.map((entry, i) => (entry ? name(i) : ''));
  return modelOf({
    opset: item.opset,
    nodes: [makeNode(item.type, names(item.inputs, nameOf), names(item.outputs, outputName), attributesOf(item))],
    inputs: present(item.inputs).map(([{ dims, dtype }, i]) => value(nameOf(i), dims, dtype)),
    outputs: present(item.outputs).map(([{ dtype }, i]) => value(outputName(i), null, dtype)),
  });
}

/** All outputs that the case asks for, to the precision that it computes in. */
function checkStored(item: StoredCase): void {
  const outputs = runModel(
    modelOfStored(item),
    () => new Map(present(item.inputs).map(([stored, i]) => [nameOf(i), feedOf(inputOf(stored))])),
  );
  for (const [stored, i] of present(item.outputs)) {
    expect({
      output: i,
      difference: difference(
        outputs.get(outputName(i))!,
        hostOfInput(inputOf(stored)),
        TOLERANCES[precisionOf(item)] ?? FLOAT32,
      ),
    }).toEqual({ output: i, difference: null });
  }
}

/** As a case that is differentiated: its first output, by everything that is finite. */
function gradientCase(item: StoredCase): OperatorCase {
  return given(
    item.type,
    item.note,
    item.inputs.map((stored) => stored && inputOf(stored)),
    attributesOf(item),
    { opset: item.opset },
  );
}

/**
 * Rounding has no finite differences, integers and infinities no gradient, and a vector of zeros none that differences
 * give.
 */
function isSmooth(item: StoredCase): boolean {
  const finite = item.outputs[0]!.values.every((entry) => typeof entry === 'number');
  return (
    precisionOf(item) === 'float32' &&
    finite &&
    item.outputs[0]!.values.length > 0 &&
    !['LpNormalization', 'Mod', 'ReduceMax', 'ReduceMin'].includes(item.type)
  );
}

/** Those that are differentiated. */
export const storedGradientCases: readonly OperatorCase[] = CASES.filter(isSmooth).map(gradientCase);

export function describeStored(): void {
  const named = <T extends { readonly type: string; readonly note: string }>(cases: readonly T[]) =>
    cases.map((item) => [item.type, item.note, item] as const);
  describe('as the standard says', () => {
    test.each(named(CASES))('%s: %s', (_type, _note, item) => checkStored(item));
    test.each(named(storedGradientCases))('differentiates %s: %s', (_type, _note, item) => checkGradient(item));
  });
}
