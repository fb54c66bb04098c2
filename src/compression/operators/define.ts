/** What the definitions of operators have in common. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { withoutTape } from '../tensor/without-tape.ts';
import { isInteger } from './host/data.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { broadcastShapes, shapeOf } from './shapes.ts';

export const FOLLOWS = { kind: 'follows' } as const;
export const ONNX_ORDER = { kind: 'onnx' } as const;
export const FULL = { kind: 'full' } as const;
export const ZERO = { kind: 'zero' } as const;
export const PASSES = { kind: 'passes-through' } as const;

export function firstInput(...inputs: number[]): { readonly kind: 'inputs'; readonly inputs: readonly number[] } {
  return { kind: 'inputs', inputs };
}

export type HostForm = NonNullable<Operator['host']>;
export type DeviceForm = NonNullable<Operator['device']>;

/** The inputs of a host form that cannot do without its first one, two or three. */
export type Needed<Count extends 1 | 2 | 3> = readonly [
  ...{
    readonly 1: [HostTensor];
    readonly 2: [HostTensor, HostTensor];
    readonly 3: [HostTensor, HostTensor, HostTensor];
  }[Count],
  ...(HostTensor | null)[],
];

/** A host form whose first `count` inputs are there. @throws GraphError that names the one that is not. */
export function needs<Count extends 1 | 2 | 3>(
  count: Count,
  form: (inputs: Needed<Count>, info: NodeInfo) => HostTensor[],
): HostForm {
  return (inputs, info) => {
    for (let i = 0; i < count; i++) required(inputs, i);
    return form(inputs as Needed<Count>, info);
  };
}

/** An input that a host form cannot do without. @throws GraphError where it is absent */
export function required(inputs: readonly (HostTensor | null)[], index: number): HostTensor {
  const input = inputs[index];
  if (!input) throw new GraphError(`input ${index} is missing; give it a value`);
  return input;
}

export function hostValue(value: HostTensor): Value {
  return { kind: 'host', value };
}

/** All inputs as exact data. */
export function hostInputs(ctx: RunContext): (HostTensor | null)[] {
  return Array.from({ length: ctx.inputCount }, (_, i) => (ctx.has(i) ? ctx.host(i) : null));
}

/** The host form on values that lie on the device. */
export function onHost(host: HostForm): DeviceForm {
  return (ctx) => host(hostInputs(ctx), ctx).map(hostValue);
}

/**
 * Floats take the device form, integers the host form wherever they lie: the device's 32 bits would wrap silently where
 * ONNX has 64, and would not wrap where ONNX has 8.
 */
export function exactIntegers(host: HostForm, device: DeviceForm): DeviceForm {
  const exact = onHost(host);
  return (ctx) => (isInteger(ctx.dtype(0)) ? exact(ctx) : device(ctx));
}

/** A device form whose results take no part in differentiation. */
export function discrete(compute: (ctx: RunContext) => TfTensor[]): DeviceForm {
  return (ctx) => withoutTape(() => compute(ctx));
}

/**
 * Small integers that an operator takes as an input (shapes, axes, pads); null where the input is absent, or not known
 * yet.
 */
export type Ints = (index: number) => readonly number[] | null;

export function intsOfConstants(info: NodeInfo): Ints {
  return (index) => {
    const value = info.constant(index);
    return value && hostNumbers(value);
  };
}

export function intsOfHost(inputs: readonly (HostTensor | null)[]): Ints {
  return (index) => {
    const value = inputs[index];
    return value ? hostNumbers(value) : null;
  };
}

export function intsOfRun(ctx: RunContext): Ints {
  return (index) => (ctx.has(index) ? ctx.hostInts(index) : null);
}

export interface ParameterSource {
  readonly name: string;
  readonly input: number;
  readonly inputSince: number;
}

/** Integers that are an attribute up to some opset and an input since. */
export function attributeOrInput(
  info: NodeInfo,
  ints: Ints,
  { name, input, inputSince }: ParameterSource,
): readonly number[] | null {
  return info.opset < inputSince ? (info.ints(name) ?? null) : ints(input);
}

/** True where the node names an input at this place. */
export function given(info: NodeInfo, index: number): boolean {
  return (info.node.inputs[index] ?? '') !== '';
}

/** The elements of a broadcast shape-like result, where both operands are known in part. */
export function partialBinary(info: NodeInfo, f: (a: Dim, b: Dim) => Dim): Pick<Inferred, 'elements'> {
  const [a, b] = [info.partial(0), info.partial(1)];
  const shape = a && b && broadcastShapes(shapeOf(info, 0), shapeOf(info, 1));
  if (!a || !b || !shape || shape.length > 1) return {};
  const length = Math.max(a.length, b.length);
  if ((a.length !== length && a.length !== 1) || (b.length !== length && b.length !== 1)) return {};
  return {
    elements: Array.from({ length }, (_, i) =>
      f(a.length === 1 ? nth(a, 0) : a[i]!, b.length === 1 ? nth(b, 0) : b[i]!),
    ),
  };
}
