/** Softmax, LogSoftmax, Hardmax: along one axis since opset 13, before over all axes from `axis` on as one. */
import { nth } from '../ir/checked-access.ts';
import * as nn from '../tensor/nn.ts';
import { tf } from '../tensor/tf.ts';
import { alongAxes } from './channels/elementwise.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { Operator, RunContext } from './operator.ts';
import { resolveAxis, sameType, sizeOf } from './shapes.ts';

/** Computes along the last axis of what `axis` means in this opset. */
function along(compute: (x: TfTensor) => TfTensor): (ctx: RunContext) => TfTensor[] {
  return (ctx) => {
    const x = ctx.tensor(0);
    if (ctx.opset < 13) return [flattened(x, resolveAxis(ctx.int('axis', 1), x.rank), compute)];
    return [alongAxis(x, ctx.axis(ctx.int('axis', -1), x.rank), compute)];
  };
}

function alongAxis(x: TfTensor, axis: number, compute: (x: TfTensor) => TfTensor): TfTensor {
  if (x.rank === 0 || axis === x.rank - 1) return compute(x);
  const swap = x.shape.map((_, i) => (i === axis ? x.rank - 1 : i === x.rank - 1 ? axis : i));
  return tf.transpose(compute(tf.transpose(x, swap)), swap);
}

/** Softmax of x as it was at an opset. */
export function softmaxAt(opset: number, x: TfTensor, axis: number): TfTensor {
  return opset < 13
    ? flattened(x, resolveAxis(axis, x.rank), rowSoftmax)
    : alongAxis(x, resolveAxis(axis, x.rank), rowSoftmax);
}

function flattened(x: TfTensor, axis: number, compute: (x: TfTensor) => TfTensor): TfTensor {
  return tf.reshape(compute(tf.reshape(x, [sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis))])), x.shape);
}

function hardmax(x: TfTensor): TfTensor {
  return tf.cast(tf.oneHot(tf.argMax(x, -1), nth(x.shape, -1)), 'float32');
}

const rowSoftmax = (x: TfTensor): TfTensor => (x.rank === 0 ? tf.onesLike(x) : nn.softmax(x));
const rowLogSoftmax = (x: TfTensor): TfTensor => (x.rank === 0 ? tf.zerosLike(x) : tf.logSoftmax(x));

const onAxis = alongAxes(({ info }) => [info.int('axis', -1)]);
/** Up to opset 12 all axes from `axis` on are one. */
const behindAxis = alongAxes(({ info }, rank) => Array.from({ length: rank }, (_, i) => i).slice(info.int('axis', 1)));

/** Since opset 13 only one axis matters, whatever the layout; before, the order of the axes matters. */
function versions(type: string, compute: (x: TfTensor) => TfTensor, more: Partial<Operator> = {}): Operator[] {
  const common = {
    type,
    domain: '',
    differentiability: { kind: 'full' },
    infer: sameType(),
    device: along(compute),
    ...more,
  } as const;
  return [
    { ...common, since: 1, until: 12, layout: { kind: 'onnx' }, channels: behindAxis },
    { ...common, since: 13, layout: { kind: 'follows' }, channels: onAxis },
  ];
}

export const softmaxOperators: readonly Operator[] = [
  ...versions('Softmax', rowSoftmax, { quantization: { kind: 'compute', activations: [0], kernel: null, bias: null } }),
  ...versions('LogSoftmax', rowLogSoftmax),
  ...versions('Hardmax', hardmax, { differentiability: { kind: 'zero' } }),
];
