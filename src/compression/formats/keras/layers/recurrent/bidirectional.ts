/** Bidirectional around a recurrent layer: both directions in one operator, or one after the other. */
import { itemOf, mapTuple } from '../../../../ir/checked-access.ts';
import {
  flag,
  input,
  text,
  UnsupportedLayer,
  type Config,
  type LayerContext,
  type LayerConverter,
} from '../../layer.ts';
import { plain, plainSignal, type Signal } from '../../signal.ts';
import { arrayCount } from '../cells.ts';
import { type CellType, emit, NATIVE, nativeActivations } from './native.ts';
import { flip, initialOf, type Pass, type RawLayer } from './pass.ts';
import { run } from './run.ts';

export const bidirectional: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const forward = asWrapped(ctx, config['layer'] as RawLayer);
  const given = config['backward_layer'] == null ? null : asWrapped(ctx, config['backward_layer'] as RawLayer);
  const backward: RawLayer = given ?? {
    ...forward,
    config: { ...forward.config, go_backwards: !flag(forward.config, 'go_backwards', false) },
  };
  const signal = input(ctx);
  const initial = initialOf(ctx);
  const mask = ctx.masks[0] ?? null;
  const cell = NATIVE[forward.class_name];
  const options = ['go_backwards', 'stateful', 'time_major'];
  const joint =
    cell &&
    mask === null &&
    sameButDirection(forward, backward) &&
    options.every((key) => !flag(forward.config, key, false)) &&
    nativeActivations(cell, forward.config, ctx.kerasMajor)
      ? cell
      : null;
  const [y, back] = joint
    ? runJoint(ctx, { cell: joint, config: forward.config, signal, initial })
    : runBoth(ctx, { forward, backward, signal, initial, mask });
  const whole = flag(forward.config, 'return_sequences', false);
  const reverse = whole && !joint ? { ...back.output, value: flip(b, back.output.value, name) } : back.output;
  const merged = merge(ctx, y.output, reverse);
  if (whole)
    merged.forEach((output) => {
      ctx.setMask(output, mask);
    });
  return flag(forward.config, 'return_state', false) ? [...merged, ...y.states, ...back.states] : merged;
};

/** Keras 2's Bidirectional has its layers give zeros for masked steps of sequences. */
function asWrapped({ kerasMajor }: LayerContext, raw: RawLayer): RawLayer {
  if (kerasMajor >= 3) return raw;
  return { ...raw, config: { ...raw.config, zero_output_for_mask: flag(raw.config, 'return_sequences', false) } };
}

/** Both layers alike, so that ONNX's bidirectional operators can hold them. */
function sameButDirection(forward: RawLayer, backward: RawLayer): boolean {
  const options = ({ config }: RawLayer): string =>
    JSON.stringify(
      ['units', 'activation', 'recurrent_activation', 'use_bias', 'reset_after'].map((key) => config[key] ?? null),
    );
  return forward.class_name === backward.class_name && options(forward) === options(backward);
}

interface BothDirections {
  readonly forward: RawLayer;
  readonly backward: RawLayer;
  readonly signal: Signal;
  readonly initial: readonly Signal[];
  readonly mask: string | null;
}

function runBoth(ctx: LayerContext, { forward, backward, signal, initial, mask }: BothDirections): [Pass, Pass] {
  const half = initial.length / 2;
  const count = arrayCount(forward);
  const own = (label: string): LayerContext => ({ ...ctx, name: `${ctx.name}/${label}` });
  return [
    run(own('forward'), forward, {
      signal,
      mask,
      arrays: ctx.weights.slice(0, count),
      initial: initial.slice(0, half),
    }),
    run(own('backward'), backward, { signal, mask, arrays: ctx.weights.slice(count), initial: initial.slice(half) }),
  ];
}

interface JointRun {
  readonly cell: CellType;
  readonly config: Config;
  readonly signal: Signal;
  readonly initial: readonly Signal[];
}

/** Both directions in one ONNX operator; the backward one's steps come in the order of time. */
function runJoint(ctx: LayerContext, { cell, config, signal, initial }: JointRun): [Pass, Pass] {
  const { b, name } = ctx;
  const half = ctx.weights.length / 2;
  const { y, states, units } = emit(ctx, signal, {
    cell,
    config,
    arrays: [ctx.weights.slice(0, half), ctx.weights.slice(half)],
    direction: 'bidirectional',
    initial,
  });
  const [batch, steps] = [signal.shape[0] ?? null, signal.shape[1] ?? null];
  const split = states.map((state) =>
    mapTuple(b.ops('Split', [state], 2, { axis: 0, num_outputs: 2 }, `${name}/states`), (one) =>
      plainSignal(b.op('Squeeze', [one, b.ints([0])], {}, `${name}/state`), [batch, units]),
    ),
  );
  // [t, 2, n, h] -> [2, n, t, h]
  const sequences = flag(config, 'return_sequences', false)
    ? mapTuple(
        b.ops(
          'Split',
          [b.op('Transpose', [y], { perm: [1, 2, 0, 3] }, `${name}/sequence`)],
          2,
          { axis: 0, num_outputs: 2 },
          `${name}/directions`,
        ),
        (one) => plainSignal(b.op('Squeeze', [one, b.ints([0])], {}, `${name}/steps`), [batch, steps, units]),
      )
    : null;
  const way = (index: 0 | 1): Pass => ({
    output: (sequences ?? itemOf(split, 0, 'the last states'))[index],
    states: split.map((pair) => pair[index]),
  });
  return [way(0), way(1)];
}

function merge(ctx: LayerContext, forward: Signal, backward: Signal): Signal[] {
  const { b, name } = ctx;
  const mode = ctx.config['merge_mode'] === null ? 'none' : text(ctx.config, 'merge_mode', 'concat');
  if (mode === 'none') return [forward, backward];
  const [x, y] = [plain(b, forward), plain(b, backward)];
  const units = forward.shape.at(-1) ?? null;
  const wide = [...forward.shape.slice(0, -1), units === null ? null : units + (backward.shape.at(-1) ?? 0)];
  switch (mode) {
    case 'concat':
      return [plainSignal(b.op('Concat', [x, y], { axis: -1 }, `${name}/concat`), wide)];
    case 'sum':
      return [plainSignal(b.op('Add', [x, y], {}, `${name}/sum`), forward.shape)];
    case 'ave':
      return [plainSignal(b.op('Mean', [x, y], {}, `${name}/mean`), forward.shape)];
    case 'mul':
      return [plainSignal(b.op('Mul', [x, y], {}, `${name}/product`), forward.shape)];
    default:
      throw new UnsupportedLayer(`merge_mode "${mode}" is not supported`);
  }
}
