/** LSTM, GRU and RNN. */
import { nth } from '../ir/checked-access.ts';
import type { TensorType } from '../ir/types.ts';
import { recurrence } from './channels/recurrent.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator } from './operator.ts';
import { directionsOf, GATES, runRecurrent, type Kind } from './recurrent/run.ts';
import { isConcrete, requireRank, shapeOf, typeOf } from './shapes.ts';

function infer(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  requireRank(shape, 3, 'the input', 3);
  requireRank(shapeOf(info, 1), 3, 'the weight', 3);
  requireRank(shapeOf(info, 2), 3, 'the recurrent weight', 3);
  const hidden = shapeOf(info, 2)?.[2] ?? (info.attribute('hidden_size') ? info.int('hidden_size', 0) : null);
  const directions = directionsOf(info);
  const batchFirst = info.int('layout', 0) === 1;
  const [steps, batch] = batchFirst
    ? [shape?.[1] ?? null, shape?.[0] ?? null]
    : [shape?.[0] ?? null, shape?.[1] ?? null];
  const state: TensorType = { dtype, shape: batchFirst ? [batch, directions, hidden] : [directions, batch, hidden] };
  return [
    { dtype, shape: batchFirst ? [batch, steps, directions, hidden] : [steps, directions, batch, hidden] },
    state,
    state,
  ];
}

/** Products with both weights at every step. */
function macs(info: NodeInfo): number {
  const [x, w, r] = [shapeOf(info, 0), shapeOf(info, 1), shapeOf(info, 2)];
  if (!isConcrete(x) || !isConcrete(w) || !isConcrete(r)) return 0;
  return nth(x, 0) * nth(x, 1) * nth(w, 0) * nth(w, 1) * (nth(w, 2) + nth(r, 2));
}

function recurrent(kind: Kind): Operator {
  return {
    type: kind,
    domain: '',
    since: 1,
    layout: { kind: 'onnx' },
    differentiability: { kind: 'full' },
    infer,
    device: runRecurrent(kind),
    macs,
    channels: recurrence(GATES[kind]),
    weights: [
      { input: 1, kind: 'kernel', outputAxis: () => 1 },
      { input: 2, kind: 'kernel', outputAxis: () => 1 },
      { input: 3, kind: 'bias', outputAxis: () => 1 },
      ...(kind === 'LSTM' ? [{ input: 7, kind: 'scale', outputAxis: () => 1 } as const] : []),
    ],
  };
}

export const recurrentOperators: readonly Operator[] = (Object.keys(GATES) as Kind[]).map(recurrent);
