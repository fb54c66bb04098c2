/** The instruction that computes an attention found in a graph (fuse-attention.ts). */
import { outputName } from '../ir/checked-access.ts';
import { attend, type AxisOrder } from '../operators/device/attention.ts';
import { FULL, ONNX_ORDER } from '../operators/define.ts';
import type { Operator, RunContext } from '../operators/operator.ts';
import { typeOf } from '../operators/shapes.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { Instruction } from './program.ts';

/** A single number that multiplies or divides scores, queries or keys. */
export interface Factor {
  readonly name: string;
  readonly divides: boolean;
}

export interface Operand {
  readonly name: string;
  readonly order: AxisOrder;
  readonly factors: readonly Factor[];
}

/** softmax(q k' * factors + mask) v. */
export interface Attention {
  readonly q: Operand;
  readonly k: Operand;
  readonly v: Operand;
  /** '': none. */
  readonly mask: string;
  readonly factors: readonly Factor[];
}

const [MASK, FACTORS] = [3, 4];

/** Replaces `instruction`, whose first output it computes, its axes in `order`. */
export function attentionInstruction(
  instruction: Instruction,
  attention: Attention,
  order: AxisOrder,
  maskLearns: boolean,
): Instruction {
  const { q, k, v, mask, factors } = attention;
  const inputs = [q.name, k.name, v.name, mask, ...factors.map(({ name }) => name)];
  const operator: Operator = {
    type: 'Attention',
    domain: 'lathe',
    since: 1,
    layout: ONNX_ORDER,
    differentiability: FULL,
    infer: (info) => [{ dtype: typeOf(info).dtype, shape: null }],
    device: (ctx) => {
      const { queries, scale } = scaled(ctx, factors);
      const operands = {
        query: { x: queries, order: q.order },
        key: { x: ctx.tensor(1), order: k.order },
        value: { x: ctx.tensor(2), order: v.order },
      };
      return [attend({ ...operands, scale, mask: ctx.has(MASK) ? ctx.tensor(MASK) : null, maskLearns, order })];
    },
  };
  const node = {
    ...instruction.node,
    opType: operator.type,
    domain: operator.domain,
    inputs,
    outputs: [outputName(instruction.node)],
    attributes: new Map(),
  };
  return { ...instruction, node, operator, layout: 'onnx', uses: new Set(inputs.filter((name) => name !== '')) };
}

/** Folds factors known on the host into the scale, the others into the queries. */
function scaled(ctx: RunContext, factors: readonly Factor[]): { queries: TfTensor; scale: number } {
  let queries = ctx.tensor(0);
  let scale = 1;
  factors.forEach(({ divides }, i) => {
    const known = ctx.constant(FACTORS + i);
    if (known) {
      const value = Number(known.data[0]);
      scale = divides ? scale / value : scale * value;
    } else {
      const factor = tf.reshape(ctx.tensor(FACTORS + i), []);
      queries = divides ? tf.div(queries, factor) : tf.mul(queries, factor);
    }
  });
  return { queries, scale };
}
