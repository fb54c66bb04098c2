/** Activations that are layers of their own. */
import { softmax } from '../../activations.ts';
import { constant, input, number, weight, type LayerContext, type LayerConverter } from '../../layer.ts';
import { like, onnxAxis, plain, plainSignal, type Signal } from '../../signal.ts';

export const relu: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const slope = number(config, 'negative_slope', 0);
  const threshold = number(config, 'threshold', 0);
  const ceiling = config['max_value'];
  if (threshold !== 0) {
    // f(x) = x where x >= threshold, slope (x - threshold) below.
    const above = b.op('GreaterOrEqual', [signal.value, b.scalar(threshold)], {}, `${name}/above`);
    const below = b.op(
      'Mul',
      [b.op('Sub', [signal.value, b.scalar(threshold)], {}, `${name}/shifted`), b.scalar(slope)],
      {},
      `${name}/below`,
    );
    const value = b.op('Where', [above, signal.value, below], {}, `${name}/relu`);
    return like(
      signal,
      typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value,
    );
  }
  if (slope !== 0) {
    const value = b.op('LeakyRelu', [signal.value], { alpha: { float: slope } }, `${name}/relu`);
    return like(
      signal,
      typeof ceiling === 'number' ? b.op('Min', [value, b.scalar(ceiling)], {}, `${name}/max`) : value,
    );
  }
  return like(
    signal,
    typeof ceiling === 'number'
      ? b.op('Clip', [signal.value, b.scalar(0), b.scalar(ceiling)], {}, `${name}/relu`)
      : b.op('Relu', [signal.value], {}, `${name}/relu`),
  );
};

export const leakyRelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const alpha = number(ctx.config, 'negative_slope', number(ctx.config, 'alpha', 0.3));
  return like(signal, ctx.b.op('LeakyRelu', [signal.value], { alpha: { float: alpha } }, `${ctx.name}/leaky_relu`));
};

/** Slopes have the shape of one sample, with 1 on shared axes; they broadcast against Keras's order of axes. */
export const prelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const alpha = weight(ctx, 0, 'alpha');
  return plainSignal(
    ctx.b.op('PRelu', [plain(ctx.b, signal), constant(ctx, 'alpha', alpha)], {}, `${ctx.name}/prelu`),
    signal.shape,
  );
};

export const elu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(
    signal,
    ctx.b.op('Elu', [signal.value], { alpha: { float: number(ctx.config, 'alpha', 1) } }, `${ctx.name}/elu`),
  );
};

export const thresholdedRelu: LayerConverter = (ctx) => {
  const signal = input(ctx);
  return like(
    signal,
    ctx.b.op(
      'ThresholdedRelu',
      [signal.value],
      { alpha: { float: number(ctx.config, 'theta', 1) } },
      `${ctx.name}/thresholded_relu`,
    ),
  );
};

export const softmaxLayer: LayerConverter = (ctx) => {
  const axis = ctx.config['axis'];
  const signal = input(ctx);
  const mask = ctx.masks[0];
  if (mask) return maskedSoftmax(ctx, signal, [axis ?? -1].flat().map(Number), mask);
  if (Array.isArray(axis) && axis.length !== 1) return softmaxOver(ctx, signal, axis.map(Number));
  return softmax(ctx, signal, Number(Array.isArray(axis) ? axis[0] : (axis ?? -1)));
};

/** exp(x - logsumexp(x)) over several axes. */
function softmaxOver({ b, name }: LayerContext, signal: Signal, axes: readonly number[]): Signal {
  const places = b.ints(axes.map((axis) => onnxAxis(signal, axis)));
  const sum = b.op('ReduceLogSumExp', [signal.value, places], { keepdims: 1 }, `${name}/log_sum`);
  return like(signal, b.op('Exp', [b.op('Sub', [signal.value, sum], {}, `${name}/log`)], {}, `${name}/softmax`));
}

/** Masked elements get no share; where all are masked, all shares are zero. */
function maskedSoftmax(ctx: LayerContext, signal: Signal, axes: readonly number[], mask: string): Signal {
  const { b, name } = ctx;
  const lowered = plainSignal(
    b.op('Where', [mask, plain(b, signal), b.scalar(-3e38)], {}, `${name}/lowered`),
    signal.shape,
  );
  const shares = axes.length === 1 ? softmax(ctx, lowered, axes[0]!) : softmaxOver(ctx, lowered, axes);
  return like(shares, b.op('Where', [mask, shares.value, b.scalar(0)], {}, `${name}/visible`));
}
