/**
 * What ONNX's Attention adds to the scores: masks, the causal bound, windows around each query, and lengths; and which
 * rows may attend nothing.
 */
import { nth } from '../../ir/checked-access.ts';
import { GraphError } from '../../ir/graph-error.ts';
import { tf } from '../../tensor/tf.ts';
import type { TfTensor } from '../../tensor/tf.ts';
import { withoutTape } from '../../tensor/without-tape.ts';

/** How many positions before and after its own a query may attend; Infinity: all. */
export interface Reach {
  readonly before: number;
  readonly after: number;
}

/** Everything that bounds what is attended; scores are [b, n, rows, columns]. */
export interface Bounds {
  readonly rows: number;
  readonly columns: number;
  /** Broadcasts to the scores, its last axis possibly shorter; boolean, or numbers to add. */
  readonly mask: TfTensor | null;
  /** Keys that each sample has, [b]; the others are padding. */
  readonly lengths: TfTensor | null;
  /** Keys in front of the first query's own. */
  readonly past: number;
  readonly reach: Reach;
}

export interface Bias {
  /**
   * Broadcasts to [b, n, rows, columns], always of rank 4. Rows that may attend nothing hold 0: -infinity would make
   * their shares NaN.
   */
  readonly values: TfTensor;
  /** Rows that may attend nothing, [b, n, rows, 1] (the first two possibly 1); null where there can be none. */
  readonly masked: TfTensor | null;
}

/** 0 where a position may be attended, -infinity elsewhere. */
export function maskBias(allowed: TfTensor): TfTensor {
  return tf.where(allowed, tf.scalar(0), tf.scalar(-Infinity));
}

/** [rows, columns]: a position sees itself and what came before. */
export function causalBias(rows: number, columns: number, offset = 0): TfTensor {
  return reachBias(rows, columns, offset, { before: Infinity, after: 0 });
}

/** [rows, columns]: the query of row i is at position i + offset. */
export function reachBias(rows: number, columns: number, offset: number, { before, after }: Reach): TfTensor {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => {
    const back = Math.floor(i / columns) + offset - (i % columns);
    return back <= before && -back <= after ? 0 : -Infinity;
  });
  return tf.tensor2d(values, [rows, columns]);
}

/**
 * The sum of all bounds, null: nothing is bounded. A row is masked where each of its sums is -infinity: by the bias,
 * whatever the scores are.
 */
export function boundsBias(bounds: Bounds): Bias | null {
  const { rows, columns, mask, lengths, past, reach } = bounds;
  const isBounded = reach.before !== Infinity || reach.after !== Infinity;
  const parts = [
    ...(mask ? [paddedMask(mask, columns)] : []),
    ...(isBounded ? [lengths ? reachFromEnd(bounds, lengths) : reachBias(rows, columns, past, reach)] : []),
    ...(lengths ? [lengthBias(lengths, columns)] : []),
  ];
  if (parts.length === 0) return null;
  const bias = ofRank4(parts.reduce((a, b) => tf.add(a, b)));
  // position 0 is always seen
  if (!mask && !lengths && reach.before === Infinity && reach.after >= 0) return { values: bias, masked: null };
  // a mask of one column says the same of all
  const whole = bias.shape[3] === columns ? bias : tf.add(bias, tf.zeros([1, 1, 1, columns]));
  const masked = withoutTape(() => tf.all(tf.equal(whole, -Infinity), 3, true));
  return { values: tf.where(masked, tf.zerosLike(whole), whole), masked };
}

function ofRank4(x: TfTensor): TfTensor {
  return x.rank === 4 ? x : tf.reshape(x, [...new Array<number>(4 - x.rank).fill(1), ...x.shape]);
}

/** A mask of fewer columns hides all others. */
function paddedMask(mask: TfTensor, columns: number): TfTensor {
  const missing = columns - nth(mask.shape, -1);
  if (missing < 0) throw new GraphError(`a mask of ${mask.shape.at(-1)} columns is given for ${columns} keys`);
  const bias = mask.dtype === 'bool' ? maskBias(mask) : tf.cast(mask, 'float32');
  return missing > 0
    ? tf.pad(
        bias,
        bias.shape.map((_, i): [number, number] => [0, i === bias.rank - 1 ? missing : 0]),
        -Infinity,
      )
    : bias;
}

/** Queries are the last `rows` of each sample's keys: [b, 1, rows, columns]. */
function reachFromEnd({ rows, columns, reach }: Bounds, lengths: TfTensor): TfTensor {
  const own = tf.reshape(tf.range(0, rows, 1, 'int32'), [1, 1, rows, 1]);
  const back = tf.sub<TfTensor>(tf.add(own, tf.sub(perSample(lengths), rows)), positions(columns));
  const bounds = [
    ...(reach.before === Infinity ? [] : [tf.lessEqual(back, tf.scalar(reach.before, 'int32'))]),
    ...(reach.after === Infinity ? [] : [tf.greaterEqual(back, tf.scalar(-reach.after, 'int32'))]),
  ];
  return maskBias(bounds.reduce((a, b) => tf.logicalAnd(a as never, b as never)));
}

/** The first lengths[b] columns of sample b may be attended: [b, 1, 1, columns]. */
function lengthBias(lengths: TfTensor, columns: number): TfTensor {
  return maskBias(tf.less(positions(columns), perSample(lengths)));
}

const positions = (columns: number): TfTensor => tf.reshape(tf.range(0, columns, 1, 'int32'), [1, 1, 1, columns]);
const perSample = (lengths: TfTensor): TfTensor => tf.reshape(tf.cast(lengths, 'int32'), [-1, 1, 1, 1]);
