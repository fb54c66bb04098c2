/** Sliding windows (convolution, pooling): sizes of results and ONNX pads for Keras's `padding`. */
import type { Shape } from '../signal.ts';
import { UnsupportedLayer } from '../layer.ts';
import type { AttributeValue } from '../../../ir/edit.ts';

export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly padding: string;
}

/** Spatial sizes of the result; null stays null. */
export function windowResult(spatial: Shape, { kernel, strides, dilations, padding }: Window): (number | null)[] {
  return spatial.map((size, i) => {
    if (size === null) return null;
    if (padding !== 'valid') return Math.ceil(size / strides[i]!);
    return Math.floor((size - (kernel[i]! - 1) * dilations[i]! - 1) / strides[i]!) + 1;
  });
}

/**
 * ONNX attributes for `padding`. "same" puts the odd element at the end, as TensorFlow does; where a size is open,
 * `auto_pad` says the same at run time (with stride 1 the pads do not depend on the size).
 */
export function padAttributes(spatial: Shape, window: Window): Record<string, AttributeValue> {
  const { kernel, strides, dilations, padding } = window;
  if (padding === 'valid') return {};
  const reach = kernel.map((size, i) => (size - 1) * dilations[i]!);
  if (padding === 'causal') return { pads: [...reach, ...reach.map(() => 0)] };
  if (padding !== 'same') throw new UnsupportedLayer(`padding "${padding}" is unknown`);
  if (spatial.some((size, i) => size === null && strides[i] !== 1)) return { auto_pad: 'SAME_UPPER' };
  const total = reach.map((extra, i) => {
    const size = spatial[i];
    if (size == null) return extra;
    return Math.max((Math.ceil(size / strides[i]!) - 1) * strides[i]! + extra + 1 - size, 0);
  });
  return { pads: [...total.map((pad) => Math.floor(pad / 2)), ...total.map((pad) => Math.ceil(pad / 2))] };
}
