/** One direction of a recurrent layer: by ONNX's own operator, or a Scan of the cell. */
import { itemOf } from '../../../../ir/checked-access.ts';
import { flag, UnsupportedLayer, type Config, type LayerContext } from '../../layer.ts';
import { plain, plainSignal } from '../../signal.ts';
import { cellOf, CUDNN, cudnnArrays } from '../cells.ts';
import { scanCell } from '../scan.ts';
import { CONV_RANKS, runConvLstm } from './conv-lstm.ts';
import { type CellType, emit, NATIVE, nativeActivations } from './native.ts';
import { checkInitial, flip, type Pass, type PassInput, type RawLayer } from './pass.ts';

export function run(ctx: LayerContext, raw: RawLayer, given: PassInput): Pass {
  const plainName = CUDNN[raw.class_name];
  const { class_name: className, config } = plainName
    ? { class_name: plainName, config: { ...raw.config, reset_after: true } }
    : raw;
  const arrays = plainName ? cudnnArrays(className, given.arrays) : given.arrays;
  if (plainName && given.mask !== null)
    throw new UnsupportedLayer('a mask for a CuDNN layer is not supported: such a layer takes none');
  if (flag(config, 'stateful', false))
    throw new UnsupportedLayer('a stateful recurrent layer keeps its state between calls');
  if (flag(config, 'time_major', false)) throw new UnsupportedLayer('time_major recurrent layers are not supported');
  const cell = NATIVE[className];
  if (cell && given.mask === null && nativeActivations(cell, config, ctx.kerasMajor))
    return runNative(ctx, cell, config, { ...given, arrays });
  const rank = CONV_RANKS[className];
  if (rank !== undefined) return runConvLstm(ctx, rank, config, { ...given, arrays });
  if (!cell && className !== 'RNN') throw new UnsupportedLayer(`a recurrence of ${className} is not supported`);
  return runCell(ctx, className === 'RNN' ? (config['cell'] as RawLayer) : { class_name: className, config }, config, {
    ...given,
    arrays,
  });
}

function runNative(ctx: LayerContext, cell: CellType, config: Config, { signal, arrays, initial }: PassInput): Pass {
  const { b, name } = ctx;
  const backwards = flag(config, 'go_backwards', false);
  const { y, states, units } = emit(ctx, signal, {
    cell,
    config,
    arrays: [arrays],
    direction: backwards ? 'reverse' : 'forward',
    initial,
  });
  const [batch, steps] = [signal.shape[0] ?? null, signal.shape[1] ?? null];
  const last = states.map((state) =>
    plainSignal(b.op('Squeeze', [state, b.ints([0])], {}, `${name}/state`), [batch, units]),
  );
  const output = flag(config, 'return_sequences', false)
    ? plainSignal(sequence(ctx, y, backwards), [batch, steps, units])
    : itemOf(last, 0, 'the last states');
  return { output, states: last };
}

/** Y [t, 1, n, h] -> [n, t, h]; Keras gives a backward pass's steps in the order it took them. */
function sequence({ b, name }: LayerContext, y: string, reversed: boolean): string {
  const batchMajor = b.op(
    'Transpose',
    [b.op('Squeeze', [y, b.ints([1])], {}, `${name}/steps`)],
    { perm: [1, 0, 2] },
    `${name}/sequence`,
  );
  return reversed ? flip(b, batchMajor, name) : batchMajor;
}

function runCell(ctx: LayerContext, raw: RawLayer, config: Config, { signal, arrays, initial, mask }: PassInput): Pass {
  const { b, name } = ctx;
  const cell = cellOf(ctx, raw, arrays);
  const [batch, steps, ...stepShape] = signal.shape;
  const scanned = scanCell(b, name, {
    cell,
    x: plain(b, signal),
    stepShape,
    steps: steps ?? null,
    mask,
    zeroOutput: flag(config, 'zero_output_for_mask', false),
    backwards: flag(config, 'go_backwards', false),
    initial: checkInitial(initial, cell.stateSizes.length).map((state) => plain(b, state)),
  });
  const output = flag(config, 'return_sequences', false)
    ? plainSignal(scanned.sequence, [batch ?? null, steps ?? null, ...cell.outputSizes])
    : plainSignal(scanned.last, [batch ?? null, ...cell.outputSizes]);
  return {
    output,
    states: scanned.states.map((state, i) =>
      plainSignal(state, [batch ?? null, ...itemOf(cell.stateSizes, i, 'the states of the cell')]),
    ),
  };
}
