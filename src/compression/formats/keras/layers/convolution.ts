/** Convolutions of 1 to 3 dimensions: plain, grouped, depthwise, separable, transposed. */
import { itemOf } from '../../../ir/checked-access.ts';
import { activate } from '../activations.ts';
import {
  constant,
  dataFormat,
  flag,
  input,
  ints,
  number,
  text,
  transpose,
  weight,
  type LayerContext,
  type LayerConverter,
  type WeightArray,
} from '../layer.ts';
import { image, imageShape, imageSignal, range, type Shape, type Signal } from '../signal.ts';
import { padAttributes, windowResult, type Window } from './window.ts';

function windowOf({ config }: LayerContext, rank: number): Window {
  return {
    kernel: ints(config, 'kernel_size', rank, 1),
    strides: ints(config, 'strides', rank, 1),
    dilations: ints(config, 'dilation_rate', rank, 1),
    padding: text(config, 'padding', 'valid').toLowerCase(),
  };
}

/** Keras kernel [...k, cin/groups, cout] -> ONNX [cout, cin/groups, ...k]. */
const toOnnxKernel = (kernel: WeightArray, rank: number): WeightArray =>
  transpose(kernel, [rank + 1, rank, ...range(0, rank)]);

interface Applied {
  readonly value: string;
  readonly spatial: Shape;
}

interface ConvolutionParts {
  readonly x: string;
  readonly spatial: Shape;
  readonly kernel: WeightArray;
  readonly bias: WeightArray | null;
  readonly window: Window;
  readonly group: number;
  readonly suffix?: string;
}

function applyConv(
  ctx: LayerContext,
  { x, spatial, kernel, bias, window, group, suffix = '' }: ConvolutionParts,
): Applied {
  const inputs = [x, constant(ctx, `${suffix}kernel`, kernel), ...(bias ? [constant(ctx, `${suffix}bias`, bias)] : [])];
  const attributes = {
    kernel_shape: window.kernel,
    strides: window.strides,
    dilations: window.dilations,
    group,
    ...padAttributes(spatial, window),
  };
  return {
    value: ctx.b.op('Conv', inputs, attributes, `${ctx.name}/${suffix}conv`),
    spatial: windowResult(spatial, window),
  };
}

/** Wraps the work on [n, c, ...spatial] values between Keras's signals, and ends on the activation. */
function onImage(
  ctx: LayerContext,
  build: (x: string, spatial: Shape, channels: number) => Applied & { channels: number },
): Signal {
  const signal = input(ctx);
  const format = dataFormat(ctx.config);
  const { spatial, channels } = imageShape(signal, format);
  if (channels === null) throw new Error('the number of input channels is dynamic');
  const result = build(image(ctx.b, signal, format), spatial, channels);
  return activate(
    ctx,
    imageSignal(result.value, signal.shape[0] ?? null, result.spatial, result.channels, format),
    ctx.config['activation'],
  );
}

const optionalBias = (ctx: LayerContext, index: number): WeightArray | null =>
  flag(ctx.config, 'use_bias', true) ? weight(ctx, index, 'bias') : null;

const conv =
  (rank: number): LayerConverter =>
  (ctx) =>
    onImage(ctx, (x, spatial) => {
      const kernel = toOnnxKernel(weight(ctx, 0, 'kernel'), rank);
      return {
        ...applyConv(ctx, {
          x,
          spatial,
          kernel,
          bias: optionalBias(ctx, 1),
          window: windowOf(ctx, rank),
          group: number(ctx.config, 'groups', 1),
        }),
        channels: itemOf(kernel.dims, 0, 'the shape of the kernel'),
      };
    });

/** Keras [...k, cin, multiplier] -> ONNX [cin * multiplier, 1, ...k] of a grouped convolution. */
function depthwiseKernel(kernel: WeightArray, rank: number): WeightArray {
  const { dims, values } = transpose(kernel, [rank, rank + 1, ...range(0, rank)]);
  return { dims: [dims[0]! * dims[1]!, 1, ...dims.slice(2)], values };
}

const depthwiseConv =
  (rank: number): LayerConverter =>
  (ctx) =>
    onImage(ctx, (x, spatial, channels) => {
      const kernel = depthwiseKernel(weight(ctx, 0, 'depthwise kernel'), rank);
      return {
        ...applyConv(ctx, {
          x,
          spatial,
          kernel,
          bias: optionalBias(ctx, 1),
          window: windowOf(ctx, rank),
          group: channels,
        }),
        channels: itemOf(kernel.dims, 0, 'the shape of the kernel'),
      };
    });

const separableConv =
  (rank: number): LayerConverter =>
  (ctx) =>
    onImage(ctx, (x, spatial, channels) => {
      const depthwise = applyConv(ctx, {
        x,
        spatial,
        kernel: depthwiseKernel(weight(ctx, 0, 'depthwise kernel'), rank),
        bias: null,
        window: windowOf(ctx, rank),
        group: channels,
        suffix: 'depthwise_',
      });
      const ones = range(0, rank).map(() => 1);
      const pointwise = toOnnxKernel(weight(ctx, 1, 'pointwise kernel'), rank);
      const window = { kernel: ones, strides: ones, dilations: ones, padding: 'valid' };
      return {
        ...applyConv(ctx, {
          x: depthwise.value,
          spatial: depthwise.spatial,
          kernel: pointwise,
          bias: optionalBias(ctx, 2),
          window,
          group: 1,
          suffix: 'pointwise_',
        }),
        channels: itemOf(pointwise.dims, 0, 'the shape of the pointwise'),
      };
    });

/**
 * Transposed convolution. Keras kernel [...k, cout, cin] -> ONNX [cin, cout, ...k]. Sizes as Keras infers them: "same"
 * gives size * stride, "valid" size * stride + max(k - stride, 0), both without an explicit output padding.
 */
const convTranspose =
  (rank: number): LayerConverter =>
  (ctx) =>
    onImage(ctx, (x, spatial) => {
      const window = windowOf(ctx, rank);
      const { dims, values } = transpose(weight(ctx, 0, 'kernel'), [rank + 1, rank, ...range(0, rank)]);
      const inputs = [
        x,
        constant(ctx, 'kernel', { dims, values }),
        ...(flag(ctx.config, 'use_bias', true) ? [constant(ctx, 'bias', weight(ctx, 1, 'bias'))] : []),
      ];
      const explicit =
        Array.isArray(ctx.config['output_padding']) || typeof ctx.config['output_padding'] === 'number'
          ? ints(ctx.config, 'output_padding', rank, 0)
          : null;
      const plan = window.kernel.map((size, i) =>
        transposedAxis(
          (size - 1) * window.dilations[i]! + 1,
          window.strides[i]!,
          window.padding,
          explicit?.[i] ?? null,
        ),
      );
      const attributes = {
        kernel_shape: window.kernel,
        strides: window.strides,
        dilations: window.dilations,
        pads: [...plan.map(({ begin }) => begin), ...plan.map(({ end }) => end)],
        output_padding: plan.map(({ outputPadding }) => outputPadding),
      };
      const result = spatial.map((size, i) =>
        size === null ? null : (size - 1) * window.strides[i]! + plan[i]!.grows,
      );
      return {
        value: ctx.b.op('ConvTranspose', inputs, attributes, `${ctx.name}/conv_transpose`),
        spatial: result,
        channels: dims[1]!,
      };
    });

/** Pads of one axis; `grows`: the result's size at input size 1. `reach`: the dilated kernel's extent. */
function transposedAxis(reach: number, stride: number, padding: string, outputPadding: number | null) {
  if (padding === 'valid') {
    const extra = outputPadding ?? Math.max(stride - reach, 0);
    return { begin: 0, end: 0, outputPadding: extra, grows: reach + extra };
  }
  if (outputPadding !== null) {
    // The result has (size - 1) stride + reach % 2 + output padding; TensorFlow cuts what is over at both ends.
    const over = reach - (reach % 2) - outputPadding;
    const begin = Math.floor(Math.max(over, 0) / 2);
    return {
      begin,
      end: Math.max(over, 0) - begin,
      outputPadding: Math.max(-over, 0),
      grows: (reach % 2) + outputPadding,
    };
  }
  const total = Math.max(reach - stride, 0);
  const begin = Math.floor(total / 2);
  return { begin, end: total - begin, outputPadding: Math.max(stride - reach, 0), grows: stride };
}

export const CONVOLUTION_LAYERS: Readonly<Record<string, LayerConverter>> = {
  Conv1D: conv(1),
  Conv2D: conv(2),
  Conv3D: conv(3),
  Convolution1D: conv(1),
  Convolution2D: conv(2),
  Convolution3D: conv(3),
  DepthwiseConv1D: depthwiseConv(1),
  DepthwiseConv2D: depthwiseConv(2),
  SeparableConv1D: separableConv(1),
  SeparableConv2D: separableConv(2),
  SeparableConvolution1D: separableConv(1),
  SeparableConvolution2D: separableConv(2),
  Conv1DTranspose: convTranspose(1),
  Conv2DTranspose: convTranspose(2),
  Conv3DTranspose: convTranspose(3),
  Convolution1DTranspose: convTranspose(1),
  Convolution2DTranspose: convTranspose(2),
  Convolution3DTranspose: convTranspose(3),
};
