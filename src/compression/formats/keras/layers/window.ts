/** Sliding windows (convolution, pooling): sizes of results and ONNX pads for Keras's `padding`. */
import { itemOf } from '../../../ir/checked-access.ts';
import type { Shape } from '../signal.ts';
import { UnsupportedLayer } from '../layer.ts';
import type { AttributeValue } from '../../../ir/edit.ts';

export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: string;
}

/** How far the dilated kernel reaches beyond its first element. */
const reachOf = ({ kernel, dilations }: Window, axis: number): number =>
  (itemOf(kernel, axis, 'kernel_size') - 1) * itemOf(dilations, axis, 'dilation_rate');

/** Spatial sizes of the result; null stays null. */
export function windowResult(spatial: Shape, window: Window): (number | null)[] {
  const { strides, padding } = window;
  return spatial.map((size, i) => {
    if (size === null) return null;
    if (padding !== 'valid') return Math.ceil(size / itemOf(strides, i, 'strides'));
    return Math.floor((size - reachOf(window, i) - 1) / itemOf(strides, i, 'strides')) + 1;
  });
}

/**
 * ONNX attributes for `padding`. "same" puts the odd element at the end, as TensorFlow does; where a size is open,
 * `auto_pad` computes the same at run time (with stride 1 the pads do not depend on the size).
 */
export function padAttributes(spatial: Shape, window: Window): Record<string, AttributeValue> {
  const { kernel, strides, padding } = window;
  if (padding === 'valid') return {};
  const reach = kernel.map((_, i) => reachOf(window, i));
  if (padding === 'causal') return { pads: [...reach, ...reach.map(() => 0)] };
  if (padding !== 'same') throw new UnsupportedLayer(`padding "${padding}" is unknown`);
  if (spatial.some((size, i) => size === null && strides[i] !== 1)) return { auto_pad: 'SAME_UPPER' };
  const total = reach.map((extra, i) => {
    const size = spatial[i];
    if (size == null) return extra;
    const stride = itemOf(strides, i, 'strides');
    return Math.max((Math.ceil(size / stride) - 1) * stride + extra + 1 - size, 0);
  });
  return { pads: [...total.map((pad) => Math.floor(pad / 2)), ...total.map((pad) => Math.ceil(pad / 2))] };
}
