/** Sliding windows of convolution and pooling: kernel, strides, dilations, and the pads that `auto_pad` stands for. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import type { Dim } from '../ir/types.ts';
import type { NodeInfo } from '../ir/node-info.ts';

export interface Window {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
}

/** Reads strides and dilations and checks that there is one per spatial axis. */
export function windowOf(info: NodeInfo, kernel: readonly number[]): Window {
  const ones = kernel.map(() => 1);
  const window = { kernel, strides: info.ints('strides') ?? ones, dilations: info.ints('dilations') ?? ones };
  for (const [name, values] of Object.entries<readonly number[]>(window)) {
    if (values.length !== kernel.length)
      throw new GraphError(`${name} [${values.join(', ')}] must have ${kernel.length} values`);
    if (values.some((value) => value < 1)) throw new GraphError(`${name} [${values.join(', ')}] must be positive`);
  }
  return window;
}

/** Size of the kernel with its gaps. */
export function extent({ kernel, dilations }: Window, axis: number): number {
  return (nth(kernel, axis) - 1) * nth(dilations, axis) + 1;
}

/**
 * Pads, begins then ends. `SAME_*` makes the output ceil(size / stride) long; an odd pixel goes to the end (UPPER) or
 * the beginning (LOWER).
 * @returns null where they depend on sizes that are open.
 */
export function padsOf(info: NodeInfo, window: Window, sizes: readonly number[]): number[];
export function padsOf(info: NodeInfo, window: Window, sizes: readonly Dim[]): number[] | null;
export function padsOf(info: NodeInfo, window: Window, sizes: readonly Dim[]): number[] | null {
  const rank = window.kernel.length;
  const mode = info.string('auto_pad', 'NOTSET');
  if (mode === 'VALID') return new Array<number>(2 * rank).fill(0);
  if (mode !== 'SAME_UPPER' && mode !== 'SAME_LOWER') {
    const pads = info.ints('pads') ?? new Array<number>(2 * rank).fill(0);
    if (pads.length !== 2 * rank) throw new GraphError(`pads [${pads.join(', ')}] must have ${2 * rank} values`);
    return [...pads];
  }
  if (!sizes.every((size) => typeof size === 'number')) return null;
  const totals = sizes.map((size, i) =>
    Math.max(0, (Math.ceil(size / nth(window.strides, i)) - 1) * nth(window.strides, i) + extent(window, i) - size),
  );
  return split(totals, mode === 'SAME_UPPER');
}

/** Half of each total on either side; the odd one at the end, or at the beginning. */
export function split(totals: readonly number[], oddAtEnd: boolean): number[] {
  const less = totals.map((total) => Math.floor(total / 2));
  const more = totals.map((total, i) => total - nth(less, i));
  return oddAtEnd ? [...less, ...more] : [...more, ...less];
}

/** Number of windows along each spatial axis. */
export function windowCounts(info: NodeInfo, window: Window, sizes: readonly Dim[], ceil = false): Dim[] {
  const pads = padsOf(info, window, sizes);
  const same = info.string('auto_pad', 'NOTSET').startsWith('SAME');
  return sizes.map((size, i) => {
    if (typeof size !== 'number') return keepsSize(info, window, pads, i) ? size : null;
    if (same) return Math.ceil(size / nth(window.strides, i));
    return countAlong(size, { window, pads: pads!, axis: i, ceil });
  });
}

export interface WindowAlong {
  readonly window: Window;
  readonly pads: readonly number[];
  readonly axis: number;
  readonly ceil: boolean;
}

/** Windows along one axis. With `ceil` a last window may begin inside the input or its begin pad, never beyond. */
export function countAlong(size: number, { window, pads, axis, ceil }: WindowAlong): number {
  const stride = nth(window.strides, axis);
  const begin = nth(pads, axis);
  const room = size + begin + nth(pads, axis + window.kernel.length) - extent(window, axis);
  if (room < 0 && !ceil)
    throw new GraphError(`a window of ${extent(window, axis)} does not fit into size ${size} with its pads`);
  if (!ceil) return Math.floor(room / stride) + 1;
  const count = Math.ceil(room / stride) + 1;
  if (count < 1)
    throw new GraphError(`a window of ${extent(window, axis)} does not fit into size ${size} with its pads`);
  return (count - 1) * stride >= size + begin ? count - 1 : count;
}

/** True where an open size stays as it is: the stride is one and the pads make up for the kernel. */
function keepsSize(info: NodeInfo, window: Window, pads: readonly number[] | null, axis: number): boolean {
  if (window.strides[axis] !== 1) return false;
  if (!pads) return true;
  return nth(pads, axis) + nth(pads, axis + window.kernel.length) === extent(window, axis) - 1;
}
