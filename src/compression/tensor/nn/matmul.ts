import { engine } from '../engine.ts';
import { rawOp } from '../native/raw-op.ts';
import { tf } from '../tf.ts';
import type { TfTensor } from '../tf.ts';
import { saving, withGradient } from './gradient.ts';
import { hasOwnProducts } from './kernel-choice.ts';

/**
 * The product of two matrices, each transposed first where asked. tfjs takes TensorFlow's batched kernel even for two
 * matrices; the plain one is what TensorFlow fuses with the bias and the activation after it.
 */
export function matMul(a: TfTensor, b: TfTensor, transposeA = false, transposeB = false): TfTensor {
  const isPlain = [a, b].every(({ rank, dtype }) => rank === 2 && dtype === 'float32');
  if (!engine().native || !isPlain) return tf.matMul(a, b, transposeA, transposeB);
  return withGradient([a, b], (x, y) =>
    saving({
      value: product(x, y, transposeA, transposeB),
      saved: [x, y],
      gradient: (dy, saved) => {
        const [left, right] = saved as [TfTensor, TfTensor];
        return [
          transposeA ? product(right, dy, transposeB, true) : product(dy, right, false, !transposeB),
          transposeB ? product(dy, left, true, transposeA) : product(left, dy, !transposeA, false),
        ];
      },
    }),
  );
}

function product(a: TfTensor, b: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor {
  const transposes = { transpose_a: { bool: transposeA }, transpose_b: { bool: transposeB } };
  return hasOwnProducts()
    ? rawOp('LatheMatMul', [a, b], transposes)
    : rawOp('MatMul', [a, b], { T: { type: 'float32' }, ...transposes });
}
