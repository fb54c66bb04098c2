/** Layers around others: TimeDistributed, SpectralNormalization, Pipeline. */
import { input, type Config, type LayerConverter } from '../layer.ts';
import { plain, plainSignal } from '../signal.ts';

/** [n, t, ...] -> [n t, ...] -> the inner layer or model -> [n, t, ...]. */
const timeDistributed: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const [batch = null, steps = null, ...rest] = signal.shape;
  const x = plain(b, signal);
  const target = rest.some((size) => size === null)
    ? b.op(
        'Concat',
        [b.ints([-1]), b.op('Shape', [x], { start: 2 }, `${name}/step`)],
        { axis: 0 },
        `${name}/merged_shape`,
      )
    : b.ints([-1, ...rest.map(Number)]);
  const merged = b.op('Reshape', [x, target], {}, `${name}/merged`);
  const results = ctx.inner(config['layer'] as Config, [plainSignal(merged, [null, ...rest])], ctx.weights, 'layer');
  const outer = b.op('Shape', [x], { start: 0, end: 2 }, `${name}/outer`);
  return results.map((result) => {
    const value = plain(b, result);
    const shape = b.op(
      'Concat',
      [outer, b.op('Shape', [value], { start: 1 }, `${name}/inner`)],
      { axis: 0 },
      `${name}/shape`,
    );
    return plainSignal(b.op('Reshape', [value, shape], {}, `${name}/split`), [batch, steps, ...result.shape.slice(1)]);
  });
};

/** The kernel is stored as training last divided it; its vector is for training alone. */
const spectralNormalization: LayerConverter = (ctx) =>
  ctx.inner(ctx.config['layer'] as Config, ctx.inputs, ctx.weights.slice(0, -1), 'layer');

const pipeline: LayerConverter = (ctx) =>
  (ctx.config['layers'] as Config[]).reduce((signals, layer) => ctx.inner(layer, signals, [], 'layers'), [input(ctx)]);

export const WRAPPER_LAYERS: Readonly<Record<string, LayerConverter>> = {
  TimeDistributed: timeDistributed,
  SpectralNormalization: spectralNormalization,
  Pipeline: pipeline,
};
