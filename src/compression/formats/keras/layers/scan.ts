/**
 * A recurrence of any cell as ONNX's Scan, for what ONNX's LSTM, GRU and RNN cannot express: masks, other activations,
 * stacked and convolutional cells.
 */
import { itemOf } from '../../../ir/checked-access.ts';
import type { GraphBuilder } from '../../graph-builder.ts';
import type { Dim } from '../../../ir/types.ts';

/** One step of a recurrence. States and output are [n, ...sizes]. */
export interface Cell {
  readonly stateSizes: readonly (readonly number[])[];
  readonly outputSizes: readonly number[];
  step(
    b: GraphBuilder,
    x: string,
    states: readonly string[],
    label: string,
  ): { readonly output: string; readonly states: readonly string[] };
}

export interface ScanPlan {
  readonly cell: Cell;
  /** [n, t, ...sizes] */
  readonly x: string;
  /** Sizes of a step after the batch. */
  readonly stepShape: readonly Dim[];
  readonly steps: number | null;
  /** Bool [n, t]: a masked step repeats the last output and keeps the states. */
  readonly mask: string | null;
  /** Gives zeros where a step is masked, instead of the last output. */
  readonly zeroOutput: boolean;
  readonly backwards: boolean;
  /** Initial states, or none: zeros. */
  readonly initial: readonly string[];
}

export interface ScanResult {
  /** [n, t, ...sizes], steps in the order they were taken. */
  readonly sequence: string;
  readonly last: string;
  readonly states: readonly string[];
}

export function scanCell(b: GraphBuilder, label: string, plan: ScanPlan): ScanResult {
  const { cell, mask, initial } = plan;
  const batch = b.op('Shape', [plan.x], { start: 0, end: 1 }, `${label}/batch`);
  const zeros = (sizes: readonly number[]): string =>
    b.op(
      'Expand',
      [b.scalar(0), b.op('Concat', [batch, b.ints(sizes)], { axis: 0 }, `${label}/state_shape`)],
      {},
      `${label}/zeros`,
    );
  const states = cell.stateSizes.map((sizes, i) => initial[i] ?? zeros(sizes));
  const carried = mask === null || plan.zeroOutput ? states : [...states, zeros(cell.outputSizes)];
  const scanned = mask === null ? [plan.x] : [plan.x, mask];
  const each = <T>(value: T): T[] => scanned.map(() => value);
  const outputs = b.ops(
    'Scan',
    [...carried, ...scanned],
    carried.length + 1,
    {
      body: { kind: 'graph', value: bodyOf(b, label, plan) },
      num_scan_inputs: scanned.length,
      scan_input_axes: each(1),
      scan_input_directions: each(plan.backwards ? 1 : 0),
      scan_output_axes: [1],
    },
    `${label}/scan`,
  );
  const sequence = itemOf(outputs, -1, 'the outputs of the Scan');
  const last = b.op('Gather', [sequence, b.scalar(-1, 'int64')], { axis: 1 }, `${label}/last`);
  return { sequence, last, states: outputs.slice(0, states.length) };
}

function bodyOf(b: GraphBuilder, label: string, { cell, mask, zeroOutput, stepShape }: ScanPlan) {
  return b.body(`${label}/body`, (inner) => {
    const before = cell.stateSizes.map((sizes) => inner.input(`${label}/state_before`, 'float32', ['batch', ...sizes]));
    const held =
      mask !== null && !zeroOutput
        ? inner.input(`${label}/output_before`, 'float32', ['batch', ...cell.outputSizes])
        : null;
    const x = inner.input(`${label}/step`, 'float32', ['batch', ...stepShape]);
    const keep = mask === null ? null : inner.input(`${label}/step_mask`, 'bool', ['batch']);
    const taken = cell.step(inner, x, before, `${label}/cell`);
    const choose = (next: string, old: string, sizes: readonly number[]): string => {
      if (keep === null) return next;
      const wide = inner.op('Unsqueeze', [keep, inner.ints(sizes.map((_, i) => i + 1))], {}, `${label}/mask`);
      return inner.op('Where', [wide, next, old], {}, `${label}/kept`);
    };
    const output = choose(taken.output, held ?? inner.scalar(0), cell.outputSizes);
    taken.states.forEach((state, i) => {
      const sizes = itemOf(cell.stateSizes, i, 'the states of the cell');
      const next = choose(state, itemOf(before, i, 'the states of the cell'), sizes);
      inner.output(`${label}/state`, next, 'float32', ['batch', ...sizes]);
    });
    if (held !== null) inner.output(`${label}/output_held`, output, 'float32', ['batch', ...cell.outputSizes]);
    inner.output(`${label}/output`, output, 'float32', ['batch', ...cell.outputSizes]);
  });
}
