/** LSTM, GRU, SimpleRNN and Bidirectional round them, as ONNX's recurrent operators. */
import { activationName } from '../activations.ts';
import { flag, input, number, setting, text, UnsupportedLayer, type Config, type LayerContext, type LayerConverter, type WeightArray } from '../layer.ts';
import { plain, plainSignal, type Signal } from '../signal.ts';
import type { AttributeValue } from '../../../graph/edit.ts';

type CellType = 'LSTM' | 'GRU' | 'RNN';

/** Gates in ONNX's order, as positions in Keras's: LSTM i f c o -> i o f c; GRU z r h in both. */
const GATES: Record<CellType, readonly number[]> = { LSTM: [0, 3, 1, 2], GRU: [0, 1, 2], RNN: [0] };
const STATES: Record<CellType, number> = { LSTM: 2, GRU: 1, RNN: 1 };
const CELLS: Readonly<Record<string, CellType>> = { LSTM: 'LSTM', GRU: 'GRU', SimpleRNN: 'RNN', CuDNNLSTM: 'LSTM', CuDNNGRU: 'GRU' };

/** ONNX activation with its parameters; Keras 2's and 3's hard_sigmoid differ in the slope. */
function cellActivation(value: unknown, kerasMajor: number): { name: string; alpha: number; beta: number } {
  const name = activationName(value);
  const plainNames: Record<string, string> = { tanh: 'Tanh', sigmoid: 'Sigmoid', relu: 'Relu', softsign: 'Softsign', softplus: 'Softplus' };
  if (name === 'hard_sigmoid') return { name: 'HardSigmoid', alpha: kerasMajor >= 3 ? 1 / 6 : 0.2, beta: 0.5 };
  if (name === 'linear') return { name: 'Affine', alpha: 1, beta: 0 };
  const known = plainNames[name];
  if (!known) throw new UnsupportedLayer(`the activation "${name}" inside a recurrent layer`);
  return { name: known, alpha: 0, beta: 0 };
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
  const units = number(config, 'units', recurrent.dims[0]!);
  const gates = GATES[cell];
  const width = gates.length * units;
  const rows = ({ values, dims }: WeightArray): Float32Array => {
    const inputs = dims[0]!;
    const out = new Float32Array(width * inputs);
    gates.forEach((source, gate) => {
      for (let u = 0; u < units; u++) for (let i = 0; i < inputs; i++) out[(gate * units + u) * inputs + i] = values[i * width + source * units + u]!;
    });
    return out;
  };
  const biases = bias ? new Float32Array(bias.values.length) : null;
  for (let set = 0; biases && set < biases.length / width; set++) {
    gates.forEach((source, gate) => biases.set(bias!.values.subarray(set * width + source * units, set * width + (source + 1) * units), set * width + gate * units));
  }
  return { w: rows(kernel), r: rows(recurrent), bias: biases, features: kernel.dims[0]! };
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
function emit(ctx: LayerContext, signal: Signal, { cell, config, arrays, direction: way, initial }: Recurrence): { y: string; states: string[]; units: number } {
  const { b, name, kerasMajor } = ctx;
  const sets = arrays.map((own) => direction(cell, config, own));
  const units = number(config, 'units', 0);
  const features = sets[0]!.features;
  const width = GATES[cell].length * units;
  const n = sets.length;
  const w = b.weight(`${name}/W`, [n, width, features], joined(sets, (set) => set.w));
  const r = b.weight(`${name}/R`, [n, width, units], joined(sets, (set) => set.r));
  const bias = biasInput(ctx, sets, width);
  const x = b.op('Transpose', [plain(b, signal)], { perm: [1, 0, 2] }, `${name}/time_major`);
  const states = initialStates(ctx, initial, STATES[cell], n);
  const outer = cellActivation(config['activation'] ?? 'tanh', kerasMajor);
  const inner = cellActivation(config['recurrent_activation'] ?? 'sigmoid', kerasMajor);
  const perDirection = cell === 'LSTM' ? [inner, outer, outer] : cell === 'GRU' ? [inner, outer] : [outer];
  const activations = sets.flatMap(() => perDirection);
  const attributes: Record<string, AttributeValue> = {
    hidden_size: units, direction: way,
    activations: { kind: 'strings', value: activations.map((a) => a.name) },
    activation_alpha: { floats: activations.map((a) => a.alpha) },
    activation_beta: { floats: activations.map((a) => a.beta) },
  };
  if (activations.every((a) => a.name === 'Tanh' || a.name === 'Sigmoid')) { delete attributes['activation_alpha']; delete attributes['activation_beta']; }
  if (cell === 'GRU') attributes['linear_before_reset'] = flag(config, 'reset_after', (arrays[0]?.[2]?.dims.length ?? 1) === 2) ? 1 : 0;
  const [y, ...last] = b.ops(cell, [x, w, r, bias, '', ...states], 1 + STATES[cell], attributes, `${name}/${cell.toLowerCase()}`);
  return { y: y!, states: last, units };
}

const joined = (sets: readonly Direction[], pick: (set: Direction) => Float32Array): Float32Array => Float32Array.from(sets.flatMap((set) => [...pick(set)]));

/** B [directions, 2 * gates * h]. Where Keras has no recurrent bias that half is a setting, or training would move both halves. */
function biasInput(ctx: LayerContext, sets: readonly Direction[], width: number): string {
  const size = sets[0]!.bias?.length;
  if (size === undefined) return '';
  const own = ctx.b.weight(`${ctx.name}/B`, [sets.length, size], joined(sets, (set) => set.bias!));
  if (size === 2 * width) return own;
  const none = setting(ctx, 'recurrent_bias', [sets.length, width], new Float32Array(sets.length * width));
  return ctx.b.op('Concat', [own, none], { axis: 1 }, `${ctx.name}/biases`);
}

/** Keras gives [h, c] (or forward then backward ones) of [n, units]; ONNX wants [directions, n, units]. */
function initialStates({ b, name }: LayerContext, initial: readonly Signal[], stateCount: number, directions: number): string[] {
  if (initial.length === 0) return [];
  if (initial.length !== stateCount * directions) throw new Error(`is given ${initial.length} initial states where it has ${stateCount * directions}`);
  return Array.from({ length: stateCount }, (_, state) => {
    const rows = Array.from({ length: directions }, (_, d) => b.op('Unsqueeze', [initial[d * stateCount + state]!.value, b.ints([0])], {}, `${name}/initial`));
    return rows.length === 1 ? rows[0]! : b.op('Concat', rows, { axis: 0 }, `${name}/initial`);
  });
}

const recurrent = (cell: CellType): LayerConverter => (ctx) => {
  const { b, name, config } = ctx;
  const signal = input(ctx);
  refuseUnsupported(config);
  const backwards = flag(config, 'go_backwards', false);
  const initial = [...ctx.inputs.slice(1), ...[ctx.keywords.get('initial_state')].filter((state) => state !== undefined)];
  const { y, states, units } = emit(ctx, signal, { cell, config, arrays: [ctx.weights], direction: backwards ? 'reverse' : 'forward', initial });
  const [batch, steps] = [signal.shape[0] ?? null, signal.shape[1] ?? null];
  const last = states.map((state) => plainSignal(b.op('Squeeze', [state, b.ints([0])], {}, `${name}/state`), [batch, units]));
  const output = flag(config, 'return_sequences', false)
    ? plainSignal(sequence(ctx, y, backwards), [batch, steps, units])
    : last[0]!;
  return flag(config, 'return_state', false) ? [output, ...last] : output;
};

/** Y [t, 1, n, h] -> [n, t, h]; Keras gives a backward pass's steps in the order it took them. */
function sequence({ b, name }: LayerContext, y: string, reversed: boolean): string {
  const batchMajor = b.op('Transpose', [b.op('Squeeze', [y, b.ints([1])], {}, `${name}/steps`)], { perm: [1, 0, 2] }, `${name}/sequence`);
  if (!reversed) return batchMajor;
  return b.op('Slice', [batchMajor, b.ints([-1]), b.ints([-Number.MAX_SAFE_INTEGER]), b.ints([1]), b.ints([-1])], {}, `${name}/reversed`);
}

function refuseUnsupported(config: Config): void {
  if (flag(config, 'stateful', false)) throw new UnsupportedLayer('a stateful recurrent layer keeps its state between calls');
  if (flag(config, 'time_major', false)) throw new UnsupportedLayer('time_major recurrent layers');
}

/** Both directions in one ONNX operator; merged as `merge_mode` says. */
const bidirectional: LayerConverter = (ctx) => {
  const { b, name, config } = ctx;
  const layer = config['layer'] as { class_name: string; config: Config };
  const cell = CELLS[layer.class_name];
  if (!cell) throw new UnsupportedLayer(`Bidirectional of ${layer.class_name}`);
  refuseUnsupported(layer.config);
  if (flag(layer.config, 'return_state', false)) throw new UnsupportedLayer('Bidirectional with return_state');
  const signal = input(ctx);
  const half = ctx.weights.length / 2;
  const arrays = [ctx.weights.slice(0, half), ctx.weights.slice(half)];
  const { y, states, units } = emit(ctx, signal, { cell, config: layer.config, arrays, direction: 'bidirectional', initial: ctx.inputs.slice(1) });
  const [batch, steps] = [signal.shape[0] ?? null, signal.shape[1] ?? null];
  const whole = flag(layer.config, 'return_sequences', false);
  // [n, (t,) 2, h]: the directions beside the features.
  const pair = whole
    ? b.op('Transpose', [y], { perm: [2, 0, 1, 3] }, `${name}/sequence`)
    : b.op('Transpose', [states[0]!], { perm: [1, 0, 2] }, `${name}/last`);
  const axis = whole ? 2 : 1;
  const outer = whole ? [batch, steps] : [batch];
  const mode = config['merge_mode'] === null ? 'none' : text(config, 'merge_mode', 'concat');
  switch (mode) {
    case 'concat': return plainSignal(b.op('Reshape', [pair, b.ints([...outer.map(() => 0), 2 * units])], {}, `${name}/concat`), [...outer, 2 * units]);
    case 'sum': return plainSignal(b.op('ReduceSum', [pair, b.ints([axis])], { keepdims: 0 }, `${name}/sum`), [...outer, units]);
    case 'ave': return plainSignal(b.op('ReduceMean', [pair, b.ints([axis])], { keepdims: 0 }, `${name}/mean`), [...outer, units]);
    case 'mul': return plainSignal(b.op('ReduceProd', [pair, b.ints([axis])], { keepdims: 0 }, `${name}/product`), [...outer, units]);
    default: throw new UnsupportedLayer(`merge_mode "${mode}"`);
  }
};

export const RECURRENT_LAYERS: Readonly<Record<string, LayerConverter>> = {
  LSTM: recurrent('LSTM'), GRU: recurrent('GRU'), SimpleRNN: recurrent('RNN'), Bidirectional: bidirectional,
};
