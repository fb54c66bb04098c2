/** Resize and its older form Upsample: every mode, any axes. */
import { nth } from '../ir/checked-access.ts';
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import type { Dim } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { resizing } from './channels/resize.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext } from './operator.ts';
import { alongAxis, outside, resamplingMatrix, type Axis, type Resampling } from './resample.ts';
import { resolveAxes, typeOf } from './shapes.ts';

/** The node's scale and size for each axis of the input, as far as they are known. */
interface Target {
  readonly scales: readonly (number | null)[];
  readonly sizes: readonly Dim[];
  readonly roi: readonly number[];
}

type Read = (input: number) => readonly Dim[] | null;

/** Inputs moved between versions: (x, scales) for Upsample and up to opset 10; since (x, roi, scales, sizes). */
function inputsOf(info: NodeInfo): { readonly roi: number; readonly scales: number; readonly sizes: number } {
  return info.node.opType === 'Upsample' || info.opset < 11
    ? { roi: -1, scales: 1, sizes: -1 }
    : { roi: 1, scales: 2, sizes: 3 };
}

function targetOf(info: NodeInfo, dims: readonly Dim[], read: Read): Target {
  const at = inputsOf(info);
  const given = info.ints('axes');
  const axes = given ? resolveAxes(given, dims.length) : dims.map((_, i) => i);
  const spread = <T>(values: readonly T[], none: (axis: number) => T): T[] => {
    if (values.length !== axes.length)
      throw new GraphError(`${values.length} scales or sizes are given for ${axes.length} axes`);
    return dims.map((_, axis) => (axes.includes(axis) ? nth(values, axes.indexOf(axis)) : none(axis)));
  };
  const region = read(at.roi) ?? [];
  const roi =
    region.length === 2 * axes.length
      ? ([...spread(region.slice(0, axes.length), () => 0), ...spread(region.slice(axes.length), () => 1)] as number[])
      : [...dims.map(() => 0), ...dims.map(() => 1)];
  const scales = info.floats('scales') ?? read(at.scales);
  if (scales && scales.length > 0)
    return {
      ...scaled(
        dims,
        spread(scales as readonly number[], () => 1),
        roi,
        info,
      ),
      roi,
    };
  const sizes = read(at.sizes);
  if (!sizes) return { scales: dims.map(() => null), sizes: dims.map(() => null), roi };
  return {
    ...sized(
      info,
      dims,
      spread(sizes, (axis) => nth(dims, axis)),
      axes,
    ),
    roi,
  };
}

function scaled(
  dims: readonly Dim[],
  scales: readonly number[],
  roi: readonly number[],
  info: NodeInfo,
): Omit<Target, 'roi'> {
  const crops = info.string('coordinate_transformation_mode', '') === 'tf_crop_and_resize';
  const sizes = dims.map((dim, i) => {
    if (scales[i] === 1 && !crops) return dim;
    const part = crops ? nth(roi, i + dims.length) - nth(roi, i) : 1;
    return typeof dim === 'number' ? Math.floor(dim * part * nth(scales, i)) : null;
  });
  return { scales, sizes };
}

/**
 * `keep_aspect_ratio_policy`: one scale for all the axes, so that the result fits inside or covers the sizes asked for.
 */
function sized(
  info: NodeInfo,
  dims: readonly Dim[],
  sizes: readonly Dim[],
  axes: readonly number[],
): Omit<Target, 'roi'> {
  const ratio = (axis: number): number | null =>
    typeof sizes[axis] === 'number' && typeof dims[axis] === 'number' ? sizes[axis] / dims[axis] : null;
  const policy = info.string('keep_aspect_ratio_policy', 'stretch');
  if (policy === 'stretch') return { scales: dims.map((_, axis) => (axes.includes(axis) ? ratio(axis) : 1)), sizes };
  const ratios = axes.map(ratio);
  if (ratios.includes(null))
    return { scales: dims.map(() => null), sizes: dims.map((dim, i) => (axes.includes(i) ? null : dim)) };
  const scale = policy === 'not_larger' ? Math.min(...(ratios as number[])) : Math.max(...(ratios as number[]));
  return {
    scales: dims.map((_, axis) => (axes.includes(axis) ? scale : 1)),
    sizes: dims.map((dim, axis) => (axes.includes(axis) ? Math.floor(scale * (dim as number) + 0.5) : dim)),
  };
}

function infer(info: NodeInfo): Inferred[] {
  const { dtype, shape } = typeOf(info);
  if (!shape) return [{ dtype, shape }];
  const read: Read = (input) => {
    if (input < 0 || !info.node.inputs[input]) return null;
    const constant = info.constant(input);
    return constant ? hostNumbers(constant) : info.partial(input);
  };
  return [{ dtype, shape: targetOf(info, shape, read).sizes }];
}

function resamplingOf(info: NodeInfo): Resampling {
  const old = inputsOf(info).roi < 0;
  const mode = info.string('mode', 'nearest');
  if (!/^(nearest|linear|bilinear|cubic)$/.test(mode)) throw new GraphError(`mode "${mode}" is not known`);
  return {
    mode: mode === 'bilinear' ? 'linear' : (mode as Resampling['mode']),
    transformation: old ? 'asymmetric' : info.string('coordinate_transformation_mode', 'half_pixel'),
    nearest: old ? 'floor' : info.string('nearest_mode', 'round_prefer_floor'),
    cubicCoefficient: info.float('cubic_coeff_a', -0.75),
    excludeOutside: info.int('exclude_outside', 0) === 1,
    antialias: info.int('antialias', 0) === 1,
  };
}

function run(ctx: RunContext): TfTensor[] {
  const dims = ctx.dims(0);
  const read: Read = (input) => (input < 0 || !ctx.has(input) ? null : hostNumbers(ctx.host(input)));
  const target = targetOf(ctx, dims, read);
  const how = resamplingOf(ctx);
  const axes = dims.map(
    (input, i): Axis => ({
      input,
      output: target.sizes[i] as number,
      scale: nth(target.scales, i) as number,
      roi: [nth(target.roi, i), nth(target.roi, i + dims.length)],
    }),
  );
  const source = ctx.tensor(0);
  let y = tf.cast(source, 'float32');
  axes.forEach((axis, i) => {
    if (isIdentity(how, axis)) return;
    y = alongAxis(y, ctx.axis(i, dims.length), resamplingMatrix(how, axis), axis.output);
  });
  const filled = extrapolate(ctx, y, axes, how);
  return [source.dtype === 'float32' ? filled : tf.cast(filled, source.dtype)];
}

function isIdentity(how: Resampling, axis: Axis): boolean {
  return axis.input === axis.output && axis.scale === 1 && how.transformation !== 'tf_crop_and_resize';
}

/** Cropping may reach beyond the input, where `extrapolation_value` applies. */
function extrapolate(ctx: RunContext, y: TfTensor, axes: readonly Axis[], how: Resampling): TfTensor {
  if (how.transformation !== 'tf_crop_and_resize') return y;
  const flags = axes.map((axis) => outside(how.transformation, axis));
  let mask: TfTensor | null = null;
  flags.forEach((flag, i) => {
    if (!flag.some(Boolean)) return;
    const axis = ctx.axis(i, axes.length);
    const along = tf.tensor(
      Uint8Array.from(flag, Number),
      y.shape.map((_, j) => (j === axis ? flag.length : 1)),
      'bool',
    );
    mask = mask ? tf.logicalOr(mask, along) : along;
  });
  if (!mask) return y;
  return tf.where(tf.broadcastTo(mask, y.shape), tf.fill(y.shape, ctx.float('extrapolation_value', 0)), y);
}

const common = {
  domain: '',
  layout: { kind: 'follows', inputs: [0] },
  differentiability: { kind: 'inputs', inputs: [0] },
  infer,
  device: run,
  channels: resizing((info) => inputsOf(info).sizes),
} as const;

export const resizeOperators: readonly Operator[] = [
  { ...common, type: 'Resize', since: 10, quantization: { kind: 'passes-through' } },
  { ...common, type: 'Upsample', since: 7, until: 9 },
];
