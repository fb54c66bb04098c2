/** ONNX's own recurrent operators, where they compute what the Keras layer does. */
import { existing, itemOf } from '../../../../ir/checked-access.ts';
import { activationName } from '../../activations.ts';
import { flag, number, setting, type Config, type LayerContext, type WeightArray } from '../../layer.ts';
import { plain, type Signal } from '../../signal.ts';
import type { AttributeValue } from '../../../../ir/edit.ts';

export type CellType = 'LSTM' | 'GRU' | 'RNN';

/** Gates in ONNX's order, as positions in Keras's: LSTM i f c o -> i o f c; GRU z r h in both. */
const GATES: Record<CellType, readonly number[]> = { LSTM: [0, 3, 1, 2], GRU: [0, 1, 2], RNN: [0] };
const STATES: Record<CellType, number> = { LSTM: 2, GRU: 1, RNN: 1 };
export const NATIVE: Readonly<Record<string, CellType>> = { LSTM: 'LSTM', GRU: 'GRU', SimpleRNN: 'RNN' };
const ONNX_ACTIVATIONS: Readonly<Record<string, string>> = {
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  relu: 'Relu',
  softsign: 'Softsign',
  softplus: 'Softplus',
  hard_sigmoid: 'HardSigmoid',
  linear: 'Affine',
};

interface NativeActivation {
  readonly name: string;
  readonly alpha: number;
  readonly beta: number;
}

/**
 * ONNX activation with its parameters; Keras 2's and 3's hard_sigmoid differ in the slope. Null: ONNX's recurrent
 * operators lack this activation.
 */
function cellActivation(value: unknown, kerasMajor: number): NativeActivation | null {
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
export function nativeActivations(cell: CellType, config: Config, kerasMajor: number) {
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
export function emit(
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
  const resetsAfter = flag(config, 'reset_after', (arrays[0]?.[2]?.dims.length ?? 1) === 2);
  const attributes: Record<string, AttributeValue> = {
    hidden_size: units,
    direction: way,
    ...activationAttributes(activations),
    ...(cell === 'GRU' ? { linear_before_reset: resetsAfter ? 1 : 0 } : {}),
  };
  const outputs = b.ops(
    cell,
    [x, w, r, bias, '', ...states],
    1 + STATES[cell],
    attributes,
    `${name}/${cell.toLowerCase()}`,
  );
  return { y: itemOf(outputs, 0, 'its outputs'), states: outputs.slice(1), units };
}

/** Tanh and Sigmoid take no parameters. */
function activationAttributes(activations: readonly NativeActivation[]): Record<string, AttributeValue> {
  const names = { kind: 'strings', value: activations.map(({ name }) => name) } as const;
  if (activations.every(({ name }) => name === 'Tanh' || name === 'Sigmoid')) return { activations: names };
  return {
    activations: names,
    activation_alpha: { floats: activations.map(({ alpha }) => alpha) },
    activation_beta: { floats: activations.map(({ beta }) => beta) },
  };
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
