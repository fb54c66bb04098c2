/** The cells of recurrent layers, one step each, in plain operators. Gates lie in Keras's order. */
import { itemOf, type Tuple, tupleOf } from '../../../ir/checked-access.ts';
import { activateValue, activationName } from '../activations.ts';
import type { GraphBuilder } from '../../graph-builder.ts';
import {
  flag,
  ints,
  number,
  text,
  transpose,
  UnsupportedLayer,
  type Config,
  type LayerContext,
  type WeightArray,
} from '../layer.ts';
import { range, type Shape } from '../signal.ts';
import type { Cell } from './scan.ts';
import { padAttributes, windowResult, type Window } from './window.ts';

/** The arrays and options a cell is built from. */
export interface CellParts {
  readonly ctx: LayerContext;
  readonly config: Config;
  readonly arrays: readonly WeightArray[];
}

const unitsOf = ({ config, arrays }: CellParts): number => number(config, 'units', arrays[1]?.dims[0] ?? 0);
const biased = ({ config }: CellParts): boolean => flag(config, 'use_bias', true);

function take({ arrays }: CellParts, index: number, what: string): WeightArray {
  const array = arrays[index];
  if (!array) throw new Error(`has no ${what}: the file holds ${arrays.length} arrays for the cell`);
  return array;
}

const store = ({ ctx }: CellParts, what: string, { dims, values }: WeightArray): string =>
  ctx.b.weight(`${ctx.name}/cell/${what}`, dims, values);

/** The activations of a cell, inner ones for gates. */
function activations({ ctx, config }: CellParts) {
  const apply =
    (key: string, fallback: string) =>
    (b: GraphBuilder, x: string, label: string): string =>
      activateValue(b, x, {
        value: config[key] === undefined ? fallback : config[key],
        label,
        kerasMajor: ctx.kerasMajor,
      });
  return { outer: apply('activation', 'tanh'), gate: apply('recurrent_activation', 'sigmoid') };
}

interface Affine {
  readonly x: string;
  readonly kernel: string;
  readonly bias: string | null;
  readonly label: string;
}

const affine = (b: GraphBuilder, { x, kernel, bias, label }: Affine): string =>
  bias === null ? b.op('MatMul', [x, kernel], {}, label) : b.op('Gemm', [x, kernel, bias], {}, label);

/** h = act(x K + b + h R) */
function simpleCell(parts: CellParts): Cell {
  const units = unitsOf(parts);
  const [kernel, recurrent] = [
    store(parts, 'kernel', take(parts, 0, 'kernel')),
    store(parts, 'recurrent_kernel', take(parts, 1, 'recurrent kernel')),
  ];
  const bias = biased(parts) ? store(parts, 'bias', take(parts, 2, 'bias')) : null;
  const { outer } = activations(parts);
  return {
    stateSizes: [[units]],
    outputSizes: [units],
    step: (b, x, states, label) => {
      const [h] = tupleOf(states, 1, `${label}: its states`);
      const sum = b.op(
        'Add',
        [affine(b, { x, kernel, bias, label: `${label}/x` }), b.op('MatMul', [h, recurrent], {}, `${label}/h`)],
        {},
        `${label}/sum`,
      );
      const next = outer(b, sum, label);
      return { output: next, states: [next] };
    },
  };
}

interface LstmStep {
  readonly gates: Tuple<string, 4>;
  readonly c: string;
  readonly functions: ReturnType<typeof activations>;
  readonly label: string;
}

/** c' = f c + i act(g), h' = o act(c') of gates i, f, g, o (Hochreiter and Schmidhuber 1997, with forget gates). */
function lstmStep(b: GraphBuilder, { gates, c, functions: { outer, gate }, label }: LstmStep) {
  const [i, f, g, o] = [
    gate(b, gates[0], `${label}/i`),
    gate(b, gates[1], `${label}/f`),
    outer(b, gates[2], `${label}/g`),
    gate(b, gates[3], `${label}/o`),
  ];
  const carry = b.op(
    'Add',
    [b.op('Mul', [f, c], {}, `${label}/kept`), b.op('Mul', [i, g], {}, `${label}/new`)],
    {},
    `${label}/c`,
  );
  const h = b.op('Mul', [o, outer(b, carry, `${label}/c_out`)], {}, `${label}/h`);
  return { output: h, states: [h, carry] };
}

function lstmCell(parts: CellParts): Cell {
  const units = unitsOf(parts);
  const [kernel, recurrent] = [
    store(parts, 'kernel', take(parts, 0, 'kernel')),
    store(parts, 'recurrent_kernel', take(parts, 1, 'recurrent kernel')),
  ];
  const bias = biased(parts) ? store(parts, 'bias', take(parts, 2, 'bias')) : null;
  const acts = activations(parts);
  return {
    stateSizes: [[units], [units]],
    outputSizes: [units],
    step: (b, x, states, label) => {
      const [h, c] = tupleOf(states, 2, `${label}: its states`);
      const sum = b.op(
        'Add',
        [affine(b, { x, kernel, bias, label: `${label}/x` }), b.op('MatMul', [h, recurrent], {}, `${label}/hr`)],
        {},
        `${label}/sum`,
      );
      const gates = b.ops('Split', [sum], 4, { axis: 1, num_outputs: 4 }, `${label}/gates`);
      return lstmStep(b, { gates, c, functions: acts, label });
    },
  };
}

/**
 * h' = z h + (1 - z) act(...) (Cho et al. 2014); `reset_after` resets the product with the recurrent kernel, not the
 * state.
 */
function gruCell(parts: CellParts): Cell {
  const units = unitsOf(parts);
  const stored = storedGru(parts, units);
  return {
    stateSizes: [[units]],
    outputSizes: [units],
    step: (b, x, states, label) => {
      const [h] = tupleOf(states, 1, `${label}: its states`);
      const next = gruStep(b, { ...stored, functions: activations(parts), x, h, label });
      return { output: next, states: [next] };
    },
  };
}

interface StoredGru {
  readonly kernel: string;
  readonly inputBias: string | null;
  /** Of all three gates where the state is reset after the product, of two where before. */
  readonly recurrent: string;
  readonly recurrentBias: string | null;
  /** The third gate's kernel where the state is reset before the product; `null`: after. */
  readonly candidate: string | null;
}

function storedGru(parts: CellParts, units: number): StoredGru {
  const [inputKernel, recurrentKernel] = [take(parts, 0, 'kernel'), take(parts, 1, 'recurrent kernel')];
  const bias = biased(parts) ? take(parts, 2, 'bias') : null;
  const resetAfter = flag(parts.config, 'reset_after', parts.ctx.kerasMajor >= 3 || bias?.dims.length === 2);
  const kernel = store(parts, 'kernel', inputKernel);
  const row = ({ values }: WeightArray, index: number): WeightArray => ({
    dims: [3 * units],
    values: values.subarray(index * 3 * units, (index + 1) * 3 * units),
  });
  const inputBias = bias && store(parts, 'bias', row(bias, 0));
  const recurrentBias = bias && resetAfter ? store(parts, 'recurrent_bias', row(bias, 1)) : null;
  const recurrent = store(
    parts,
    'recurrent_kernel',
    resetAfter ? recurrentKernel : columns(recurrentKernel, 0, 2 * units),
  );
  const candidate = resetAfter
    ? null
    : store(parts, 'candidate_kernel', columns(recurrentKernel, 2 * units, 3 * units));
  return { kernel, inputBias, recurrent, recurrentBias, candidate };
}

interface GruStep extends StoredGru {
  readonly functions: ReturnType<typeof activations>;
  readonly x: string;
  readonly h: string;
  readonly label: string;
}

/** @returns the next state */
function gruStep(b: GraphBuilder, step: GruStep): string {
  const { kernel, inputBias, recurrent, recurrentBias, candidate, x, h, label } = step;
  const { outer, gate } = step.functions;
  const inputs = affine(b, { x, kernel, bias: inputBias, label: `${label}/x` });
  const [xz, xr, xh] = b.ops('Split', [inputs], 3, { axis: 1, num_outputs: 3 }, `${label}/x_gates`);
  const count: number = candidate === null ? 3 : 2;
  const state = affine(b, { x: h, kernel: recurrent, bias: recurrentBias, label: `${label}/hr` });
  const split = { axis: 1, num_outputs: count };
  const [hz = '', hr = '', hh = ''] = b.ops('Split', [state], count, split, `${label}/h_gates`);
  const z = gate(b, b.op('Add', [xz, hz], {}, `${label}/z_sum`), `${label}/z`);
  const r = gate(b, b.op('Add', [xr, hr], {}, `${label}/r_sum`), `${label}/r`);
  const reset =
    candidate === null
      ? b.op('Mul', [r, hh], {}, `${label}/reset`)
      : b.op('MatMul', [b.op('Mul', [r, h], {}, `${label}/reset`), candidate], {}, `${label}/candidate`);
  const proposed = outer(b, b.op('Add', [xh, reset], {}, `${label}/h_sum`), `${label}/proposed`);
  const kept = b.op('Mul', [z, h], {}, `${label}/kept`);
  const rest = b.op('Sub', [b.scalar(1), z], {}, `${label}/rest`);
  return b.op('Add', [kept, b.op('Mul', [rest, proposed], {}, `${label}/new`)], {}, `${label}/h`);
}

function columns({ dims, values }: WeightArray, from: number, to: number): WeightArray {
  const [rows, width] = tupleOf(dims, 2, 'the shape of the recurrent kernel');
  const out = new Float32Array(rows * (to - from));
  for (let row = 0; row < rows; row++)
    out.set(values.subarray(row * width + from, row * width + to), row * (to - from));
  return { dims: [rows, to - from], values: out };
}

/** Cells one on the other: each takes the output of the one before. */
function stackedCells({ ctx, config, arrays }: CellParts): Cell {
  const raws = config['cells'] as { class_name: string; config: Config }[];
  let at = 0;
  const cells = raws.map((raw, i) => {
    const count = arrayCount(raw);
    const own = arrays.slice(at, at + count);
    at += count;
    return cellOf({ ...ctx, name: `${ctx.name}/cell_${i}` }, raw, own);
  });
  return {
    stateSizes: cells.flatMap((cell) => cell.stateSizes),
    outputSizes: itemOf(cells, -1, 'the list of stacked cells').outputSizes,
    step: (b, x, states, label) => {
      let [value, from] = [x, 0];
      const next = cells.flatMap((cell, i) => {
        const taken = cell.step(b, value, states.slice(from, from + cell.stateSizes.length), `${label}_${i}`);
        from += cell.stateSizes.length;
        value = taken.output;
        return taken.states;
      });
      return { output: value, states: next };
    },
  };
}

const CELLS: Readonly<Record<string, (parts: CellParts) => Cell>> = {
  LSTMCell: lstmCell,
  GRUCell: gruCell,
  SimpleRNNCell: simpleCell,
  StackedRNNCells: stackedCells,
  LSTM: lstmCell,
  GRU: gruCell,
  SimpleRNN: simpleCell,
};

export function cellOf(
  ctx: LayerContext,
  raw: { readonly class_name: string; readonly config: Config },
  arrays: readonly WeightArray[],
): Cell {
  const make = CELLS[raw.class_name];
  if (!make) throw new UnsupportedLayer(`the cell "${raw.class_name}" is not one of Keras's own`);
  return make({ ctx, config: raw.config, arrays });
}

/** How many arrays a recurrent layer or cell holds. */
export function arrayCount({
  class_name: className,
  config,
}: {
  readonly class_name: string;
  readonly config: Config;
}): number {
  if (className === 'RNN') return arrayCount(config['cell'] as { class_name: string; config: Config });
  if (className === 'StackedRNNCells')
    return (config['cells'] as { class_name: string; config: Config }[]).reduce(
      (sum, cell) => sum + arrayCount(cell),
      0,
    );
  return flag(config, 'use_bias', true) ? 3 : 2;
}

interface ConvStep {
  readonly inputs: string[];
  readonly over: Shape;
  readonly window: Window;
  readonly label: string;
}

function conv(b: GraphBuilder, { inputs, over, window, label }: ConvStep): string {
  const { kernel, strides, dilations } = window;
  const attributes = { kernel_shape: kernel, strides, dilations, group: 1, ...padAttributes(over, window) };
  return b.op('Conv', inputs, attributes, label);
}

/**
 * The cell of ConvLSTM (Shi et al. 2015, without peepholes) over steps [n, c, ...spatial]; `spatial` and the result's
 * sizes are fixed.
 */
export function convLstmCell(parts: CellParts, rank: number, spatial: Shape): Cell {
  const { config } = parts;
  for (const key of ['activation', 'recurrent_activation'])
    if (/softmax/.test(activationName(config[key])))
      throw new UnsupportedLayer('softmax inside a convolutional recurrence is not supported');
  const perm = [rank + 1, rank, ...range(0, rank)];
  const window = convWindow(config, rank);
  const sizes = windowResult(spatial, window).map(Number);
  const recurrentWindow: Window = {
    ...window,
    strides: sizes.map(() => 1),
    dilations: sizes.map(() => 1),
    padding: 'same',
  };
  const kernel = store(parts, 'kernel', transpose(take(parts, 0, 'kernel'), perm));
  const recurrent = store(parts, 'recurrent_kernel', transpose(take(parts, 1, 'recurrent kernel'), perm));
  const bias = biased(parts) ? [store(parts, 'bias', take(parts, 2, 'bias'))] : [];
  const inputs = itemOf(take(parts, 1, 'recurrent kernel').dims, -2, 'the shape of the recurrent kernel');
  const filters = number(config, 'filters', inputs);
  const acts = activations(parts);
  const stateSize = [filters, ...sizes];
  return {
    stateSizes: [stateSize, stateSize],
    outputSizes: stateSize,
    step: (b, x, states, label) => {
      const [h, c] = tupleOf(states, 2, `${label}: its states`);
      const fromInput = conv(b, { inputs: [x, kernel, ...bias], over: spatial, window, label: `${label}/x` });
      const fromState = conv(b, { inputs: [h, recurrent], over: sizes, window: recurrentWindow, label: `${label}/hr` });
      const sum = b.op('Add', [fromInput, fromState], {}, `${label}/sum`);
      const gates = b.ops('Split', [sum], 4, { axis: 1, num_outputs: 4 }, `${label}/gates`);
      return lstmStep(b, { gates, c, functions: acts, label });
    },
  };
}

function convWindow(config: Config, rank: number): Window {
  return {
    kernel: ints(config, 'kernel_size', rank, 1),
    strides: ints(config, 'strides', rank, 1),
    dilations: ints(config, 'dilation_rate', rank, 1),
    padding: text(config, 'padding', 'valid'),
  };
}

/** Keras 2's layers for NVIDIA's library, and the layers that compute the same. */
export const CUDNN: Readonly<Record<string, string>> = { CuDNNLSTM: 'LSTM', CuDNNGRU: 'GRU' };

/**
 * Arrays of a CuDNN layer as the plain layer's: each gate's kernels are stored transposed, input and recurrent bias
 * apart (Keras 2, `saving/legacy/hdf5_format.py`: `_convert_rnn_weights`).
 */
export function cudnnArrays(className: string, [kernel, recurrent, bias]: readonly WeightArray[]): WeightArray[] {
  if (!kernel || !recurrent || !bias) throw new Error('lacks its kernel, recurrent kernel or bias');
  const gates = className === 'LSTM' ? 4 : 3;
  return [perGate(kernel, gates), perGate(recurrent, gates), { ...bias, dims: [2, bias.values.length / 2] }];
}

/** Rebuilds each gate's block [inputs, units], which is stored as [units, inputs] in the same row-major places. */
function perGate({ dims, values }: WeightArray, gates: number): WeightArray {
  const [inputs, width] = tupleOf(dims, 2, 'the shape of a CuDNN kernel');
  const units = width / gates;
  const out = new Float32Array(values.length);
  for (let gate = 0; gate < gates; gate++) {
    for (let i = 0; i < inputs; i++) {
      for (let u = 0; u < units; u++) {
        const at = u * inputs + i;
        out[i * width + gate * units + u] = values[Math.floor(at / units) * width + gate * units + (at % units)]!;
      }
    }
  }
  return { dims, values: out };
}
