/**
 * Convolutions on the engine's own kernels: by Winograd's minimal filtering (native/winograd.cc; a
 * quarter of the products of the direct sum, rounding errors of 1.9 times the direct ones: docs/decisions/winograd.md),
 * or directly (conv.cc).
 */
import { nth } from '../../ir/checked-access.ts';
import { rawOp } from '../native/raw-op.ts';
import type { AttributeValue } from '../native/raw-op.ts';
import type { TfTensor } from '../tf.ts';
import { convKernels, hasOwnDepthwise } from './kernel-choice.ts';
import type { ConvKernels, ConvPass } from './kernel-choice.ts';
import { outputSizes } from './window.ts';
import type { Geometry } from './window.ts';

/** What computes a convolution of an image of `shape` [n, h, w, ci] to co channels, or one of its gradients. */
export function kernelsOf(pass: ConvPass, shape: readonly number[], co: number, geometry: Geometry): ConvKernels {
  const { kernel, strides, dilations, begins, ends, groups } = geometry;
  const isPlain =
    groups === 1 &&
    dilations.every((one) => one === 1) &&
    [...begins, ...ends].every((pad, i) => pad >= 0 && pad < nth(kernel, i % 2));
  if (!isPlain) return 'tensorflow';
  const [batch, height, width, ci] = [nth(shape, 0), nth(shape, 1), nth(shape, 2), nth(shape, 3)];
  const image = [height, width] as const;
  return convKernels(pass, {
    batch,
    image,
    result: outputSizes(image, geometry) as [number, number],
    ci,
    co,
    kernel,
    strides,
  });
}

/** Whether the engine has kernels of its own for a depthwise convolution of an image with these channels to `co`. */
export function isOwnDepthwise(channels: number, co: number, { groups, dilations, begins, ends }: Geometry): boolean {
  return (
    groups > 1 &&
    channels === groups &&
    co === groups &&
    dilations.every((one) => one === 1) &&
    [...begins, ...ends].every((pad) => pad >= 0) &&
    hasOwnDepthwise()
  );
}

export function depthwiseForward(x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  return rawOp('LatheDepthwise', [x, kernel], windows(geometry));
}

export function depthwiseInputGradient(
  dy: TfTensor,
  kernel: TfTensor,
  shape: readonly number[],
  geometry: Geometry,
): TfTensor {
  return rawOp('LatheDepthwiseInputGrad', [dy, kernel], {
    ...windows(geometry),
    image: { int: [nth(shape, 1), nth(shape, 2)] },
  });
}

export function depthwiseKernelGradient(x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  return rawOp('LatheDepthwiseKernelGrad', [x, dy], { ...windows(geometry), kernel: { int: geometry.kernel } });
}

type Own = Exclude<ConvKernels, 'tensorflow'>;

export function ownForward(kernels: Own, x: TfTensor, kernel: TfTensor, geometry: Geometry): TfTensor {
  return kernels === 'winograd'
    ? rawOp('LatheWinogradConv', [x, kernel], pads(geometry))
    : rawOp('LatheConv', [x, kernel], windows(geometry));
}

export interface InputGradient {
  readonly dy: TfTensor;
  readonly kernel: TfTensor;
  readonly shape: readonly number[];
  readonly geometry: Geometry;
}

/** dx [n, h, w, ci] of `shape`. */
export function ownInputGradient(kernels: Own, { dy, kernel, shape, geometry }: InputGradient): TfTensor {
  if (kernels === 'winograd') return rawOp('LatheWinogradInputGrad', [dy, kernel], pads(geometry));
  return rawOp('LatheConvInputGrad', [dy, kernel], {
    ...windows(geometry),
    image: { int: [nth(shape, 1), nth(shape, 2)] },
  });
}

export function ownKernelGradient(kernels: Own, x: TfTensor, dy: TfTensor, geometry: Geometry): TfTensor {
  if (kernels === 'winograd') return rawOp('LatheWinogradKernelGrad', [x, dy], pads(geometry));
  return rawOp('LatheConvKernelGrad', [x, dy], { ...windows(geometry), kernel: { int: geometry.kernel } });
}

function windows(geometry: Geometry): Record<string, AttributeValue> {
  return { strides: { int: geometry.strides }, ...pads(geometry) };
}

function pads({ begins, ends }: Geometry): Record<string, AttributeValue> {
  return { pads: { int: [nth(begins, 0), nth(ends, 0), nth(begins, 1), nth(ends, 1)] } };
}
