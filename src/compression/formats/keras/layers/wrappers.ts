/** TimeDistributed: one layer over every step. */
import { input, type Config, type LayerConverter } from '../layer.ts';
import { plain, plainSignal } from '../signal.ts';

/** [n, t, ...] -> [n t, ...] -> the inner layer -> [n, t, ...]. */
const timeDistributed: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const [batch, steps, ...rest] = signal.shape;
  if (rest.some((size) => size === null)) throw new Error('the size of a step is open');
  const x = plain(b, signal);
  const merged = b.op('Reshape', [x, b.ints([-1, ...rest.map(Number)])], {}, `${name}/merged`);
  const [result] = ctx.inner(config['layer'] as Config, [plainSignal(merged, [null, ...rest])], ctx.weights);
  const inner = result!.shape.slice(1);
  const outer = b.op('Shape', [x], { start: 0, end: 2 }, `${name}/outer`);
  const target = b.op('Concat', [outer, b.ints(inner.map((size) => size ?? -1))], { axis: 0 }, `${name}/shape`);
  return plainSignal(b.op('Reshape', [plain(b, result!), target], {}, `${name}/split`), [batch ?? null, steps ?? null, ...inner]);
};

export const WRAPPER_LAYERS: Readonly<Record<string, LayerConverter>> = { TimeDistributed: timeDistributed };
