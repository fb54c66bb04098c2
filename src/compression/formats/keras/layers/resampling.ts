/** Resampling of one axis as a matrix [target, size], as TensorFlow's ScaleAndTranslate and ResizeArea weigh pixels. */
import { UnsupportedLayer } from '../layer.ts';

interface Kernel {
  readonly radius: number;
  weigh(distance: number): number;
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (radius: number): Kernel => ({
  radius,
  weigh: (x) => (Math.abs(x) >= radius ? 0 : sinc(x) * sinc(x / radius)),
});

/** Keys 1981 with a = -0.5. */
const cubic: Kernel = {
  radius: 2,
  weigh: (distance) => {
    const x = Math.abs(distance);
    if (x >= 2) return 0;
    return x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1;
  },
};

const KERNELS: Readonly<Record<string, Kernel>> = {
  bilinear: { radius: 1, weigh: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: cubic,
  lanczos3: lanczos(3),
  lanczos5: lanczos(5),
};

/** @throws UnsupportedLayer for an interpolation that is unknown. */
export function resampling(interpolation: string, size: number, target: number, antialias: boolean): Float32Array {
  const matrix = new Float32Array(target * size);
  const row =
    interpolation === 'area'
      ? areaRow
      : interpolation === 'bicubic' && !antialias
        ? cubicRow
        : kernelRow(interpolation, antialias);
  for (let i = 0; i < target; i++) {
    const weights = Array.from({ length: size }, (_, pixel) => row(i, pixel, size / target));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    weights.forEach((weight, pixel) => {
      matrix[i * size + pixel] = weight / total;
    });
  }
  return matrix;
}

type Weigh = (place: number, pixel: number, scale: number) => number;

/** The share of a pixel inside the target's cell. */
const areaRow: Weigh = (place, pixel, scale) =>
  Math.max(Math.min(pixel + 1, (place + 1) * scale) - Math.max(pixel, place * scale), 0);

/** As TensorFlow's ResizeBicubic: the kernel's distance is rounded to 1/1024, half to even. */
const cubicRow: Weigh = (place, pixel, scale) => {
  const centre = (place + 0.5) * scale - 0.5;
  const first = Math.floor(centre);
  const scaled = (centre - first) * 1024;
  const nearest = Math.round(scaled);
  const offset = (Math.abs(scaled % 1) === 0.5 && nearest % 2 === 1 ? nearest - 1 : nearest) / 1024;
  return cubic.weigh(first + offset - pixel);
};

/** Antialiasing widens the kernel by the scale, where that shrinks the image. */
function kernelRow(interpolation: string, antialias: boolean): Weigh {
  const kernel = KERNELS[interpolation];
  if (!kernel) throw new UnsupportedLayer(`the interpolation "${interpolation}" is not supported`);
  return (place, pixel, scale) =>
    kernel.weigh((pixel + 0.5 - (place + 0.5) * scale) / (antialias ? Math.max(scale, 1) : 1));
}
