/**
 * LSTM, GRU, SimpleRNN, ConvLSTM, RNN of cells, and Bidirectional around them: ONNX's own recurrent operators where
 * they compute the same, otherwise Scan.
 */
import { existing, itemOf, mapTuple } from '../../../ir/checked-access.ts';
import { activationName } from '../activations.ts';
import {
  dataFormat,
  flag,
  input,
  number,
  setting,
  text,
  UnsupportedLayer,
  type Config,
  type LayerContext,
  type LayerConverter,
  type WeightArray,
} from '../layer.ts';
import { plain, plainSignal, toChannelsFirst, toChannelsLast, type Signal } from '../signal.ts';
import type { AttributeValue } from '../../../ir/edit.ts';
import { arrayCount, cellOf, convLstmCell, CUDNN, cudnnArrays } from './cells.ts';
import { scanCell } from './scan.ts';

type CellType = 'LSTM' | 'GRU' | 'RNN';

/** Gates in ONNX's order, as positions in Keras's: LSTM i f c o -> i o f c; GRU z r h in both. */
const GATES: Record<CellType, readonly number[]> = { LSTM: [0, 3, 1, 2], GRU: [0, 1, 2], RNN: [0] };
const STATES: Record<CellType, number> = { LSTM: 2, GRU: 1, RNN: 1 };
const NATIVE: Readonly<Record<string, CellType>> = { LSTM: 'LSTM', GRU: 'GRU', SimpleRNN: 'RNN' };
const ONNX_ACTIVATIONS: Readonly<Record<string, string>> = {
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  relu: 'Relu',
  softsign: 'Softsign',
  softplus: 'Softplus',
  hard_sigmoid: 'HardSigmoid',
  linear: 'Affine',
};

/**
 * ONNX activation with its parameters; Keras 2's and 3's hard_sigmoid differ in the slope. Null: ONNX's recurrent
 * operators lack this activation.
 */
function cellActivation(value: unknown, kerasMajor: number): { name: string; alpha: number; beta: number } | null {
  const keras =
    typeof value === 'object' && value !== null && 'module' in value && String(value.module).startsWith('keras.layers')
      ? ''
      : activationName(value);
  const name = ONNX_ACTIVATIONS[keras];
  if (name === undefined) return null;
  if (name === 'HardSigmoid') return { name, alpha: kerasMajor >= 3 ? 1 / 6 : 0.2, beta: 0.5 };
  return { name, alpha: name === 'Affine' ? 1 : 0, beta: 0 };
}

/** Activations of one direction in ONNX's order; null: one of them has no ONNX form inside a recurrent operator. */
function nativeActivations(cell: CellType, config: Config, kerasMajor: number) {
  const of = (key: string, fallback: string) =>
    cellActivation(config[key] === undefined ? fallback : config[key], kerasMajor);
  const [outer, inner] = [of('activation', 'tanh'), of('recurrent_activation', 'sigmoid')];
  if (!outer) return null;
  if (cell === 'RNN') return [outer];
  if (!inner) return null;
  return cell === 'LSTM' ? [inner, outer, outer] : [inner, outer];
}

interface Direction {
  /** [gates * h, in]. */
  readonly w: Float32Array;
  /** [gates * h, h]. */
  readonly r: Float32Array;
  /** [gates * h]; [2 * gates * h] of input and recurrent bias (GRU with reset_after); null: none. */
  readonly bias: Float32Array | null;
  readonly features: number;
}

/** One direction in ONNX's order of gates, from Keras's kernel, recurrent kernel and bias. */
function direction(cell: CellType, config: Config, arrays: readonly WeightArray[]): Direction {
  const [kernel, recurrent, bias] = arrays;
  if (!kernel || !recurrent) throw new Error('lacks its kernel or recurrent kernel');
  const units = number(config, 'units', itemOf(recurrent.dims, 0, 'the shape of the recurrent kernel'));
  const gates = GATES[cell];
  const width = gates.length * units;
  const rows = ({ values, dims }: WeightArray): Float32Array => {
    const inputs = itemOf(dims, 0, 'the shape of a kernel');
    const out = new Float32Array(width * inputs);
    gates.forEach((source, gate) => {
      for (let u = 0; u < units; u++)
        for (let i = 0; i < inputs; i++) out[(gate * units + u) * inputs + i] = values[i * width + source * units + u]!;
    });
    return out;
  };
  return {
    w: rows(kernel),
    r: rows(recurrent),
    bias: bias ? reorderedBias(bias.values, gates, units) : null,
    features: itemOf(kernel.dims, 0, 'the shape of the kernel'),
  };
}

/** One or two biases [gates * h], one behind the other, in ONNX's order of gates. */
function reorderedBias(values: Float32Array, gates: readonly number[], units: number): Float32Array {
  const width = gates.length * units;
  const result = new Float32Array(values.length);
  for (let set = 0; set < values.length / width; set++)
    for (const [gate, source] of gates.entries()) {
      const start = set * width + source * units;
      result.set(values.subarray(start, start + units), set * width + gate * units);
    }
  return result;
}

interface Recurrence {
  readonly cell: CellType;
  readonly config: Config;
  /** Arrays of each direction: [forward], or [forward, backward]. */
  readonly arrays: readonly (readonly WeightArray[])[];
  readonly direction: 'forward' | 'reverse' | 'bidirectional';
  /** Initial states in Keras's order, per direction h (and c). */
  readonly initial: readonly Signal[];
}

/** Emits the ONNX operator. Y [t, directions, n, h]; last states [directions, n, h] each. */
function emit(
  ctx: LayerContext,
  signal: Signal,
  { cell, config, arrays, direction: way, initial }: Recurrence,
): { y: string; states: string[]; units: number } {
  const { b, name, kerasMajor } = ctx;
  const sets = arrays.map((own) => direction(cell, config, own));
  const units = number(config, 'units', 0);
  const { features } = itemOf(sets, 0, 'the list of directions');
  const width = GATES[cell].length * units;
  const n = sets.length;
  const w = b.weight(
    `${name}/W`,
    [n, width, features],
    joined(sets, (set) => set.w),
  );
  const r = b.weight(
    `${name}/R`,
    [n, width, units],
    joined(sets, (set) => set.r),
  );
  const bias = biasInput(ctx, sets, width);
  const x = b.op('Transpose', [plain(b, signal)], { perm: [1, 0, 2] }, `${name}/time_major`);
  const states = initialStates(ctx, initial, STATES[cell], n);
  const activations = sets.flatMap(() =>
    existing(nativeActivations(cell, config, kerasMajor), 'the ONNX form of its activations'),
  );
  const attributes: Record<string, AttributeValue> = {
    hidden_size: units,
    direction: way,
    activations: { kind: 'strings', value: activations.map((a) => a.name) },
    activation_alpha: { floats: activations.map((a) => a.alpha) },
    activation_beta: { floats: activations.map((a) => a.beta) },
  };
  if (activations.every((a) => a.name === 'Tanh' || a.name === 'Sigmoid')) {
    delete attributes['activation_alpha'];
    delete attributes['activation_beta'];
  }
  if (cell === 'GRU')
    attributes['linear_before_reset'] = flag(config, 'reset_after', (arrays[0]?.[2]?.dims.length ?? 1) === 2) ? 1 : 0;
  const outputs = b.ops(
    cell,
    [x, w, r, bias, '', ...states],
    1 + STATES[cell],
    attributes,
    `${name}/${cell.toLowerCase()}`,
  );
  return { y: itemOf(outputs, 0, 'its outputs'), states: outputs.slice(1), units };
}

const joined = (sets: readonly Direction[], pick: (set: Direction) => Float32Array): Float32Array =>
  Float32Array.from(sets.flatMap((set) => [...pick(set)]));

/**
 * B [directions, 2 * gates * h]. Where Keras has no recurrent bias that half is a setting, or training would move both
 * halves.
 */
function biasInput(ctx: LayerContext, sets: readonly Direction[], width: number): string {
  const size = sets[0]?.bias?.length;
  if (size === undefined) return '';
  const own = ctx.b.weight(
    `${ctx.name}/B`,
    [sets.length, size],
    joined(sets, (set) => existing(set.bias, 'the bias of one direction')),
  );
  if (size === 2 * width) return own;
  const none = setting(ctx, 'recurrent_bias', [sets.length, width], new Float32Array(sets.length * width));
  return ctx.b.op('Concat', [own, none], { axis: 1 }, `${ctx.name}/biases`);
}

/** Keras gives [h, c] (or forward then backward ones) of [n, units]; ONNX takes [directions, n, units]. */
function initialStates(
  { b, name }: LayerContext,
  initial: readonly Signal[],
  stateCount: number,
  directions: number,
): string[] {
  if (initial.length === 0) return [];
  if (initial.length !== stateCount * directions)
    throw new Error(`is given ${initial.length} initial states where it has ${stateCount * directions}`);
  return Array.from({ length: stateCount }, (_, state) => {
    const rows = Array.from({ length: directions }, (_, d) =>
      b.op(
        'Unsqueeze',
        [itemOf(initial, d * stateCount + state, 'initial states').value, b.ints([0])],
        {},
        `${name}/initial`,
      ),
    );
    return directions === 1 ? itemOf(rows, 0, 'initial states') : b.op('Concat', rows, { axis: 0 }, `${name}/initial`);
  });
}

interface RawLayer {
  readonly class_name: string;
  readonly config: Config;
}

/** A recurrent layer's outputs: every step in the order taken, or the last one; then the states. */
interface Pass {
  readonly output: Signal;
  readonly states: readonly Signal[];
}

interface PassInput {
  readonly signal: Signal;
  readonly arrays: readonly WeightArray[];
  readonly initial: readonly Signal[];
  readonly mask: string | null;
}

const CONV_RANKS: Readonly<Record<string, number>> = { ConvLSTM1D: 1, ConvLSTM2D: 2, ConvLSTM3D: 3 };

function run(ctx: LayerContext, raw: RawLayer, given: PassInput): Pass {
  const plainName = CUDNN[raw.class_name];
  const { class_name: className, config } = plainName
    ? { class_name: plainName, config: { ...raw.config, reset_after: true } }
    : raw;
  const arrays = plainName ? cudnnArrays(className, given.arrays) : given.arrays;
  if (plainName && given.mask !== null) throw new UnsupportedLayer('a mask for a CuDNN layer, which takes none');
  if (flag(config, 'stateful', false))
    throw new UnsupportedLayer('a stateful recurrent layer keeps its state between calls');
  if (flag(config, 'time_major', false)) throw new UnsupportedLayer('time_major recurrent layers');
  const cell = NATIVE[className];
  if (cell && given.mask === null && nativeActivations(cell, config, ctx.kerasMajor))
    return runNative(ctx, cell, config, { ...given, arrays });
  const rank = CONV_RANKS[className];
  if (rank !== undefined) return runConvLstm(ctx, rank, config, { ...given, arrays });
  if (!cell && className !== 'RNN') throw new UnsupportedLayer(`a recurrence of ${className}`);
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

/** Reverses the steps of [n, t, ...]. */
const flip = (b: LayerContext['b'], value: string, name: string): string =>
  b.op(
    'Slice',
    [value, b.ints([-1]), b.ints([-Number.MAX_SAFE_INTEGER]), b.ints([1]), b.ints([-1])],
    {},
    `${name}/reversed`,
  );

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

function checkInitial(initial: readonly Signal[], count: number): readonly Signal[] {
  if (initial.length !== 0 && initial.length !== count)
    throw new Error(`is given ${initial.length} initial states where it has ${count}`);
  return initial;
}

/** Steps [n, t, ...spatial, c] go channels first through the recurrence, and back. */
function runConvLstm(
  ctx: LayerContext,
  rank: number,
  config: Config,
  { signal, arrays, initial, mask }: PassInput,
): Pass {
  const { b, name } = ctx;
  const first = dataFormat(config) === 'channels_first';
  const [batch = null, steps = null, ...step] = signal.shape;
  const spatial = first ? step.slice(1) : step.slice(0, -1);
  if (spatial.some((size) => size === null))
    throw new UnsupportedLayer('a convolutional recurrence over images of open size');
  const cell = convLstmCell(ctx, config, arrays, rank, spatial);
  const inStep = (perm: readonly number[]): number[] => [0, 1, ...perm.slice(1).map((axis) => axis + 1)];
  const x = first
    ? plain(b, signal)
    : b.op('Transpose', [plain(b, signal)], { perm: inStep(toChannelsFirst(rank + 2)) }, `${name}/steps`);
  const states = checkInitial(initial, 2).map((state) =>
    first
      ? plain(b, state)
      : b.op('Transpose', [plain(b, state)], { perm: toChannelsFirst(rank + 2) }, `${name}/initial`),
  );
  const sizes = cell.outputSizes;
  const lastSizes = [...sizes.slice(1), itemOf(sizes, 0, 'the output of the cell')];
  const scanned = scanCell(b, name, {
    cell,
    x,
    stepShape: [itemOf(step, first ? 0 : -1, 'the shape of a step'), ...spatial],
    steps,
    mask,
    zeroOutput: flag(config, 'zero_output_for_mask', false),
    backwards: flag(config, 'go_backwards', false),
    initial: states,
  });
  const image = (value: string): Signal =>
    first ? plainSignal(value, [batch, ...sizes]) : { value, shape: [batch, ...lastSizes], channelsFirst: true };
  if (!flag(config, 'return_sequences', false))
    return { output: image(scanned.last), states: scanned.states.map(image) };
  const output = first
    ? plainSignal(scanned.sequence, [batch, steps, ...sizes])
    : plainSignal(
        b.op('Transpose', [scanned.sequence], { perm: inStep(toChannelsLast(rank + 2)) }, `${name}/sequence`),
        [batch, steps, ...lastSizes],
      );
  return { output, states: scanned.states.map(image) };
}

const initialOf = (ctx: LayerContext): readonly Signal[] => [
  ...ctx.inputs.slice(1),
  ...(ctx.keywords.get('initial_state') ?? []),
];

const recurrent: LayerConverter = (ctx) => {
  const { output, states } = run(
    ctx,
    { class_name: ctx.className, config: ctx.config },
    { signal: input(ctx), arrays: ctx.weights, initial: initialOf(ctx), mask: ctx.masks[0] ?? null },
  );
  if (flag(ctx.config, 'return_sequences', false)) ctx.setMask(output, ctx.masks[0] ?? null);
  return flag(ctx.config, 'return_state', false) ? [output, ...states] : output;
};

const bidirectional: LayerConverter = (ctx) => {
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
    ? runJoint(ctx, joint, forward.config, signal, initial)
    : runBoth(ctx, forward, backward, signal, initial, mask);
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

function runBoth(
  ctx: LayerContext,
  forward: RawLayer,
  backward: RawLayer,
  signal: Signal,
  initial: readonly Signal[],
  mask: string | null,
): [Pass, Pass] {
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

/** Both directions in one ONNX operator; the backward one's steps come in the order of time. */
function runJoint(
  ctx: LayerContext,
  cell: CellType,
  config: Config,
  signal: Signal,
  initial: readonly Signal[],
): [Pass, Pass] {
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
      throw new UnsupportedLayer(`merge_mode "${mode}"`);
  }
}

export const RECURRENT_LAYERS: Readonly<Record<string, LayerConverter>> = {
  LSTM: recurrent,
  GRU: recurrent,
  SimpleRNN: recurrent,
  RNN: recurrent,
  ConvLSTM1D: recurrent,
  ConvLSTM2D: recurrent,
  ConvLSTM3D: recurrent,
  CuDNNLSTM: recurrent,
  CuDNNGRU: recurrent,
  Bidirectional: bidirectional,
};
