/** Layers that resample images: UpSampling, Resizing, CenterCrop. */
import { itemOf, tupleOf } from '../../../ir/checked-access.ts';
import {
  dataFormat,
  flag,
  input,
  ints,
  number,
  text,
  transpose,
  UnsupportedLayer,
  type LayerContext,
  type LayerConverter,
} from '../layer.ts';
import { image, imageShape, imageSignal, type Shape } from '../signal.ts';
import { resampling } from './resampling.ts';

type Attributes = Parameters<LayerContext['b']['op']>[2];

/** TensorFlow's kernels with pixel centres at half, in ONNX's terms; the others are products with matrices. */
const MODES: Readonly<Record<string, Attributes>> = {
  nearest: { mode: 'nearest', coordinate_transformation_mode: 'half_pixel', nearest_mode: 'round_prefer_ceil' },
  bilinear: { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
  bicubic: {
    mode: 'cubic',
    coordinate_transformation_mode: 'half_pixel',
    cubic_coeff_a: { float: -0.5 },
    exclude_outside: 1,
  },
};

/** TF.js's Resizing aligns corners, unless it keeps the ratio of the sides. */
function tfjsMode(interpolation: string, keepsRatio: boolean): Attributes {
  const coordinates = keepsRatio ? 'asymmetric' : 'align_corners';
  return {
    ...MODES[interpolation],
    coordinate_transformation_mode: coordinates,
    ...(interpolation === 'nearest' && keepsRatio ? { nearest_mode: 'floor' } : {}),
  };
}

interface Picture {
  readonly value: string;
  readonly spatial: Shape;
}

interface Resizing {
  readonly picture: Picture;
  readonly target: readonly number[];
  readonly interpolation: string;
  readonly antialias: boolean;
}

/** Resizes [n, c, ...spatial] to fixed sizes. */
function resizeTo(
  { b, name, runtime, config }: LayerContext,
  { picture: { value, spatial }, target, interpolation, antialias }: Resizing,
): string {
  const mode =
    MODES[interpolation] &&
    (runtime === 'tfjs' ? tfjsMode(interpolation, flag(config, 'crop_to_aspect_ratio', false)) : MODES[interpolation]);
  if (mode && !antialias && !(interpolation === 'bicubic' && isRounded(spatial, target))) {
    const outer = b.op('Shape', [value], { start: 0, end: 2 }, `${name}/outer`);
    return b.op(
      'Resize',
      [value, '', '', b.op('Concat', [outer, b.ints(target)], { axis: 0 }, `${name}/sizes`)],
      mode,
      `${name}/resize`,
    );
  }
  if (spatial.some((size) => size === null))
    throw new UnsupportedLayer(`the interpolation "${interpolation}" of images of dynamic size is not supported`);
  // [h, w] = rows matrix times image times columns matrix.
  const [height, width] = tupleOf(spatial.map(Number), 2, 'the size of the image');
  const [toHeight, toWidth] = tupleOf(target, 2, 'the new size');
  const rows = resampling(interpolation, height, toHeight, antialias);
  const columns = transpose(
    { dims: [toWidth, width], values: resampling(interpolation, width, toWidth, antialias) },
    [1, 0],
  );
  const wide = b.op('MatMul', [value, b.setting(`${name}/columns`, columns.dims, columns.values)], {}, `${name}/wide`);
  return b.op('MatMul', [b.setting(`${name}/rows`, [toHeight, height], rows), wide], {}, `${name}/resize`);
}

/** TensorFlow reads the cubic kernel from a table of 1024 places: exact only for ratios whose places all lie in it. */
function isRounded(spatial: Shape, target: readonly number[]): boolean {
  if (spatial.some((size) => size === null)) return false;
  return target.some((size, i) => (2048 * Number(spatial[i])) % size !== 0);
}

function cut(
  { b, name }: LayerContext,
  { value }: Picture,
  starts: readonly number[],
  sizes: readonly number[],
): Picture {
  const sliced = b.op(
    'Slice',
    [
      value,
      b.ints(starts),
      b.ints(starts.map((start, i) => start + itemOf(sizes, i, 'the size of the part'))),
      b.ints(starts.map((_, i) => i + 2)),
    ],
    {},
    `${name}/crop`,
  );
  return { value: sliced, spatial: sizes };
}

/** The part in the middle, or the image with a border, that has the target's ratio of sides. */
function toRatio(
  ctx: LayerContext,
  picture: Picture,
  [height, width]: readonly [number, number],
  way: 'crop' | 'pad',
): Picture {
  const [h, w] = picture.spatial;
  if (typeof h !== 'number' || typeof w !== 'number')
    throw new UnsupportedLayer('a fixed ratio of sides for images of dynamic size is not supported');
  const [byWidth, byHeight] = [Math.trunc((w * height) / width), Math.trunc((h * width) / height)];
  if (way === 'crop') {
    const [tall, wide] = [Math.max(Math.min(h, byWidth), 1), Math.max(Math.min(w, byHeight), 1)];
    return cut(ctx, picture, [Math.trunc((h - tall) / 2), Math.trunc((w - wide) / 2)], [tall, wide]);
  }
  if (text(ctx.config, 'fill_mode', 'constant') !== 'constant')
    throw new UnsupportedLayer('a border that is not constant is not supported');
  const [tall, wide] = [Math.max(h, byWidth), Math.max(w, byHeight)];
  const [top, left] = [Math.trunc((tall - h) / 2), Math.trunc((wide - w) / 2)];
  const pads = [0, 0, top, left, 0, 0, tall - h - top, wide - w - left];
  const { b, name, config } = ctx;
  return {
    value: b.op('Pad', [picture.value, b.ints(pads), b.scalar(number(config, 'fill_value', 0))], {}, `${name}/pad`),
    spatial: [tall, wide],
  };
}

const resizing: LayerConverter = (ctx) => {
  const { b, config } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const target = [number(config, 'height', 1), number(config, 'width', 1)] as const;
  const { spatial, channels } = imageShape(signal, format);
  let picture: Picture = { value: image(b, signal, format), spatial };
  if (flag(config, 'crop_to_aspect_ratio', false) && ctx.runtime === 'keras')
    picture = toRatio(ctx, picture, target, 'crop');
  if (flag(config, 'pad_to_aspect_ratio', false)) picture = toRatio(ctx, picture, target, 'pad');
  const value = resizeTo(ctx, {
    picture,
    target,
    interpolation: text(config, 'interpolation', 'bilinear'),
    antialias: flag(config, 'antialias', false),
  });
  return imageSignal(value, signal.shape[0] ?? null, target, channels, format);
};

/**
 * The middle of the image; where it is smaller than that, the image is resized instead, keeping the ratio of its sides.
 */
const centerCrop: LayerConverter = (ctx) => {
  const { b, config } = ctx;
  const signal = input(ctx);
  const format = dataFormat(config);
  const target = [number(config, 'height', 1), number(config, 'width', 1)] as const;
  const { spatial, channels } = imageShape(signal, format);
  const [h, w] = spatial;
  if (typeof h !== 'number' || typeof w !== 'number')
    throw new UnsupportedLayer('the middle of images of dynamic size is not supported');
  const picture: Picture = { value: image(b, signal, format), spatial };
  const value =
    h >= target[0] && w >= target[1]
      ? cut(ctx, picture, [Math.floor((h - target[0]) / 2), Math.floor((w - target[1]) / 2)], target).value
      : resizeTo(ctx, {
          picture: toRatio(ctx, picture, target, 'crop'),
          target,
          interpolation: 'bilinear',
          antialias: false,
        });
  return imageSignal(value, signal.shape[0] ?? null, target, channels, format);
};

/**
 * Keras 2 cuts the middle out of the image, resized where it must be; Keras 3 gives it back as it is outside of
 * training.
 */
const randomCrop: LayerConverter = (ctx) => {
  if (ctx.kerasMajor >= 3) return input(ctx);
  const format = dataFormat(ctx.config);
  const signal = input(ctx);
  const target = [number(ctx.config, 'height', 1), number(ctx.config, 'width', 1)] as const;
  const { spatial, channels } = imageShape(signal, format);
  const value = resizeTo(ctx, {
    picture: toRatio(ctx, { value: image(ctx.b, signal, format), spatial }, target, 'crop'),
    target,
    interpolation: 'bilinear',
    antialias: false,
  });
  return imageSignal(value, signal.shape[0] ?? null, target, channels, format);
};

const upSampling =
  (rank: number): LayerConverter =>
  (ctx) => {
    const { b, name, config } = ctx;
    const signal = input(ctx);
    const format = dataFormat(config);
    const factors = ints(config, 'size', rank, 2);
    const interpolation = text(config, 'interpolation', 'nearest');
    const { spatial, channels } = imageShape(signal, format);
    const result = spatial.map((size, i) => (size === null ? null : size * itemOf(factors, i, 'size')));
    const x = image(b, signal, format);
    if (!MODES[interpolation]) {
      if (result.some((size) => size === null))
        throw new UnsupportedLayer(`the interpolation "${interpolation}" of images of dynamic size is not supported`);
      return imageSignal(
        resizeTo(ctx, { picture: { value: x, spatial }, target: result.map(Number), interpolation, antialias: false }),
        signal.shape[0] ?? null,
        result,
        channels,
        format,
      );
    }
    const scales = b.setting(`${name}/scales`, [rank + 2], [1, 1, ...factors]);
    const mode =
      interpolation === 'nearest'
        ? { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' }
        : ctx.runtime === 'tfjs'
          ? { ...MODES[interpolation], coordinate_transformation_mode: 'asymmetric' }
          : MODES[interpolation];
    return imageSignal(
      b.op('Resize', [x, '', scales], mode, `${name}/resize`),
      signal.shape[0] ?? null,
      result,
      channels,
      format,
    );
  };

export const RESIZE_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Resizing: resizing,
  CenterCrop: centerCrop,
  RandomCrop: randomCrop,
  UpSampling1D: upSampling(1),
  UpSampling2D: upSampling(2),
  UpSampling3D: upSampling(3),
};
