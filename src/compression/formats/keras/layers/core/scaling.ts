/** Layers that scale and shift by settings: Rescaling, Normalization, UnitNormalization. */
import { flag, input, setting, weight, type LayerConverter } from '../../layer.ts';
import { like, onnxAxis, plain, plainSignal } from '../../signal.ts';

export const rescaling: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const [scale, offset] = [config['scale'] ?? 1, config['offset'] ?? 0];
  if (typeof scale === 'number' && typeof offset === 'number') {
    return like(
      signal,
      b.op(
        'Add',
        [b.op('Mul', [signal.value, b.scalar(scale)], {}, `${name}/scaled`), b.scalar(offset)],
        {},
        `${name}/rescaled`,
      ),
    );
  }
  const vector = (value: unknown, what: string): string => {
    const list = [value].flat().map(Number);
    return setting(ctx, what, [list.length], list);
  };
  const scaled = b.op('Mul', [plain(b, signal), vector(scale, 'scale')], {}, `${name}/scaled`);
  return plainSignal(b.op('Add', [scaled, vector(offset, 'offset')], {}, `${name}/rescaled`), signal.shape);
};

export const normalization: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  const axes = config['axis'] === null ? [] : [config['axis'] ?? -1].flat().map(Number);
  const stored = (index: number, key: string): readonly number[] => {
    const given = config[key];
    return given == null ? [...weight(ctx, index, key).values] : [given].flat(Infinity).map(Number);
  };
  const dims = signal.shape.map((size, axis) =>
    axes.some((kept) => (kept + signal.shape.length) % signal.shape.length === axis) ? (size ?? 1) : 1,
  );
  const array = (values: readonly number[], what: string): string =>
    setting(ctx, what, values.length === 1 ? dims.map(() => 1) : dims, values);
  const mean = array(stored(0, 'mean'), 'mean');
  const deviation = array(
    stored(1, 'variance').map((v) => Math.max(Math.sqrt(v), 1e-7)),
    'std',
  );
  const x = plain(b, signal);
  if (flag(config, 'invert', false))
    return plainSignal(
      b.op('Add', [b.op('Mul', [x, deviation], {}, `${name}/scaled`), mean], {}, `${name}/shifted`),
      signal.shape,
    );
  return plainSignal(
    b.op('Div', [b.op('Sub', [x, mean], {}, `${name}/centred`), deviation], {}, `${name}/normalized`),
    signal.shape,
  );
};

export const unitNormalization: LayerConverter = (ctx) => {
  const signal = input(ctx);
  const axes = [ctx.config['axis'] ?? -1].flat().map(Number);
  // x / sqrt(max(sum x^2, 1e-12))
  const squares = ctx.b.op(
    'ReduceSumSquare',
    [signal.value, ctx.b.ints(axes.map((axis) => onnxAxis(signal, axis)))],
    { keepdims: 1 },
    `${ctx.name}/squares`,
  );
  const length = ctx.b.op(
    'Sqrt',
    [ctx.b.op('Max', [squares, ctx.b.scalar(1e-12)], {}, `${ctx.name}/floor`)],
    {},
    `${ctx.name}/length`,
  );
  return like(signal, ctx.b.op('Div', [signal.value, length], {}, `${ctx.name}/unit_norm`));
};
