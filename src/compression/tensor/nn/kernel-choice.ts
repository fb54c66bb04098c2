/**
 * Which kernels compute a convolution or a product: TensorFlow's or the engine's own, by instruction set. The limits
 * below come from
 * `npm run bench -- kernels`, whose tables are in bench/results/kernels-<instruction set>-<date>.json;
 * kernel-choice.test.ts holds them against the tables. The choice depends on shapes and the instruction set alone, so
 * one machine always makes the same.
 */
import { engine } from '../engine.ts';
import type { KernelSet } from '../native/binding.ts';
import { hasOwnKernels } from '../native/raw-op.ts';

export type ConvPass = 'forward' | 'inputGradient' | 'kernelGradient';
export type ConvKernels = 'tensorflow' | 'direct' | 'winograd';

/**
 * What decides for a plain convolution (no groups, no dilation): sizes of the image [n, h, w, ci] and of the result.
 */
export interface ConvSizes {
  readonly batch: number;
  readonly image: readonly [number, number];
  readonly result: readonly [number, number];
  readonly ci: number;
  readonly co: number;
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
}

interface Limits {
  /**
   * Winograd's filtering from this many channels on either side on; below, its transforms cost what the products save.
   */
  readonly winograd: Readonly<Record<ConvPass, number>>;
  /** Direct kernels of its own instead of TensorFlow's. */
  readonly direct: Readonly<Record<ConvPass, boolean>>;
  /** Depthwise convolutions of its own, of one filter a channel. */
  readonly depthwise: boolean;
  /** Products of matrices of its own. */
  readonly products: boolean;
}

const NEVER: Readonly<Record<ConvPass, boolean>> = { forward: false, inputGradient: false, kernelGradient: false };
const ALWAYS: Readonly<Record<ConvPass, boolean>> = { forward: true, inputGradient: true, kernelGradient: true };

/** Where no table was measured (plain, neon), as with AVX-512. */
export const LIMITS: Readonly<Record<KernelSet, Limits>> = {
  avx2: {
    winograd: { forward: 16, inputGradient: 16, kernelGradient: 24 },
    direct: ALWAYS,
    depthwise: true,
    products: true,
  },
  avx512: {
    winograd: { forward: 32, inputGradient: 32, kernelGradient: 32 },
    direct: NEVER,
    depthwise: false,
    products: false,
  },
  plain: {
    winograd: { forward: 32, inputGradient: 32, kernelGradient: 32 },
    direct: NEVER,
    depthwise: false,
    products: false,
  },
  neon: {
    winograd: { forward: 32, inputGradient: 32, kernelGradient: 32 },
    direct: NEVER,
    depthwise: false,
    products: false,
  },
};

/** Outputs of one of Winograd's tiles along an axis. */
const TILE = 4;
/** Below, transforming the kernel costs what the products save. */
const MIN_TILES = 8;
/** Of the tiles' outputs, those that the image has. */
const MIN_COVERED_SHARE = 0.6;
/** A row of results is the height of the direct kernels' tiles. */
const MIN_COLUMNS = 4;
/** Of an image's gradient with stride 1: fewer do not fill a vector. */
const MIN_CHANNELS = 8;

/** The kernels for a plain convolution without pads wider than the kernel. */
export function convKernels(pass: ConvPass, sizes: ConvSizes, set = kernelSet()): ConvKernels {
  if (set === null) return 'tensorflow';
  const { winograd, direct } = LIMITS[set];
  if (Math.min(sizes.ci, sizes.co) >= winograd[pass] && suitsWinograd(sizes)) return 'winograd';
  return direct[pass] && suitsDirect(pass, sizes) ? 'direct' : 'tensorflow';
}

export function hasOwnDepthwise(): boolean {
  const set = kernelSet();
  return set !== null && LIMITS[set].depthwise;
}

export function hasOwnProducts(): boolean {
  const set = kernelSet();
  return set !== null && LIMITS[set].products;
}

function kernelSet(): KernelSet | null {
  return hasOwnKernels() ? engine().kernels : null;
}

function suitsWinograd({ batch, result: [rows, columns], kernel, strides }: ConvSizes): boolean {
  if (!kernel.every((size) => size === 3) || !strides.every((stride) => stride === 1)) return false;
  const tiles = batch * Math.ceil(rows / TILE) * Math.ceil(columns / TILE);
  return (
    rows > 0 && columns > 0 && tiles >= MIN_TILES && batch * rows * columns >= MIN_COVERED_SHARE * tiles * TILE ** 2
  );
}

function suitsDirect(pass: ConvPass, { image, result, ci, kernel, strides }: ConvSizes): boolean {
  const isProduct = [...kernel, ...strides].every((one) => one === 1);
  if (isProduct) return true;
  if (pass === 'inputGradient')
    return (
      Math.floor(image[1] / strides[1]!) >= MIN_COLUMNS && (ci >= MIN_CHANNELS || strides.every((stride) => stride > 1))
    );
  return result[1] >= MIN_COLUMNS;
}
