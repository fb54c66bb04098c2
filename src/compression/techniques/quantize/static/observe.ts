/** Running the float model to see its activations: extremes first, then histograms between them. */
import type { HostArray } from '../../../data/dataset.ts';
import type { Graph, Model } from '../../../graph/types.ts';
import { writeOnnx } from '../../../formats/onnx/write.ts';
import { openRuntime, type Feeds, type Runtime, type RuntimeOutput } from '../../../measure/session.ts';
import type { ValueRange } from '../scheme.ts';

export const BINS = 2048;
/** Bytes of activations that are fetched in one run. */
const FETCH_BYTES = 192 * 2 ** 20;
/** Values fetched together while their sizes are unknown. */
const FIRST_GROUP = 16;

const EMPTY: ValueRange = { low: 0, high: 0 };

export interface Observed extends ValueRange {
  /** Counts of the values that are not zero (zero is exact under every scheme), in BINS equal bins over [low, high]; null: not asked for. */
  readonly histogram: Float64Array | null;
}

/** Feeds of one pass, repeatable. */
export type Passes = () => AsyncIterable<Feeds>;

export interface ObserveOptions {
  readonly histograms: boolean;
  readonly signal: AbortSignal;
  /** Called after every run with the number of runs so far. */
  onRun(): void;
}

/** Runs the model over the samples, once for extremes and once more for histograms. */
export async function observe(model: Model, names: readonly string[], passes: Passes, options: ObserveOptions): Promise<Map<string, Observed>> {
  const runtime = await openRuntime(writeOnnx({ ...model, graph: exposing(model.graph, names) }));
  try {
    const groups = await groupBySize(runtime, names, passes);
    const extremes = new Map(names.map((name) => [name, { low: Infinity, high: -Infinity }]));
    await eachOutput(runtime, groups, passes, options, (name, { data }) => widen(extremes.get(name), data));
    const histograms = new Map(names.map((name) => [name, new Float64Array(BINS)]));
    if (options.histograms) await eachOutput(runtime, groups, passes, options, (name, { data }) => count(histograms.get(name), extremes.get(name) ?? EMPTY, data));
    return new Map(names.map((name) => {
      const { low, high } = extremes.get(name)!;
      const seen = low <= high ? { low, high } : { low: 0, high: 0 }; // nothing finite was seen
      return [name, { ...seen, histogram: options.histograms ? histograms.get(name)! : null }];
    }));
  } finally {
    await runtime.release();
  }
}

/** The graph with these values as further outputs. */
export function exposing(graph: Graph, names: readonly string[]): Graph {
  const present = new Set(graph.outputs.map(({ name }) => name));
  const typed = names.filter((name) => !present.has(name) && !graph.inputs.some((input) => input.name === name));
  return { ...graph, outputs: [...graph.outputs, ...typed.map((name) => ({ name, type: { dtype: 'float32' as const, shape: null } }))] };
}

/** Names in groups that fit FETCH_BYTES in one run; sizes from a first run. */
async function groupBySize(runtime: Runtime, names: readonly string[], passes: Passes): Promise<string[][]> {
  const fetched = names.filter((name) => runtime.outputNames.includes(name));
  const groups: string[][] = [];
  let room = 0;
  for await (const feeds of passes()) {
    for (let start = 0; start < fetched.length; start += FIRST_GROUP) {
      const outputs = await runtime.run(feeds, fetched.slice(start, start + FIRST_GROUP));
      for (const [name, { data }] of outputs) {
        if (data.byteLength > room || groups.length === 0) {
          groups.push([]);
          room = FETCH_BYTES;
        }
        groups.at(-1)!.push(name);
        room -= data.byteLength;
      }
    }
    break;
  }
  return groups;
}

type Visit = (name: string, values: { readonly data: RuntimeOutput['data'] | HostArray['data'] }) => void;

/** Values of every run: computed ones fetched group by group, graph inputs from the feeds. */
async function eachOutput(runtime: Runtime, groups: readonly (readonly string[])[], passes: Passes, options: ObserveOptions, visit: Visit): Promise<void> {
  for await (const feeds of passes()) {
    for (const group of groups) {
      options.signal.throwIfAborted();
      for (const [name, output] of await runtime.run(feeds, group)) visit(name, output);
    }
    for (const [name, array] of feeds) visit(name, array);
    options.onRun();
  }
}

function widen(range: { low: number; high: number } | undefined, data: RuntimeOutput['data'] | HostArray['data']): void {
  if (!range || data instanceof BigInt64Array) return;
  let { low, high } = range;
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value < low && value !== -Infinity) low = value;
    if (value > high && value !== Infinity) high = value;
  }
  range.low = low;
  range.high = high;
}

function count(histogram: Float64Array | undefined, { low, high }: ValueRange, data: RuntimeOutput['data'] | HostArray['data']): void {
  if (!histogram || data instanceof BigInt64Array || !(high > low)) return;
  const perUnit = BINS / (high - low);
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value === 0 || Number.isNaN(value)) continue;
    const bin = Math.floor((value - low) * perUnit);
    histogram[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin]!++;
  }
}
