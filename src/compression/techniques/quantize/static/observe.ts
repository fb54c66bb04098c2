/** Runs the float model to observe its activations: extremes first, then histograms between them. */
import type { HostArray } from '../../../data/dataset.ts';
import type { Graph, Model } from '../../../ir/types.ts';
import { writeOnnx } from '../../../formats/onnx/write.ts';
import { rowsOf } from '../../../measure/inputs.ts';
import { openRuntime, type Feeds, type Runtime, type RuntimeOutput } from '../../../measure/session.ts';
import type { ValueRange } from '../../../weights/affine.ts';

export const BINS = 2048;
/** Bytes of activations fetched in one run. */
const FETCH_BYTES = 192 * 2 ** 20;
/** Values fetched together while their sizes are unknown. */
const FIRST_GROUP = 64;
const MAX_BATCH = 16;

const EMPTY: ValueRange = { low: 0, high: 0 };

export interface Observed extends ValueRange {
  /**
   * Counts of the values that are not zero (zero is exact under every scheme), in BINS equal bins over [low, high];
   * null if not requested.
   */
  readonly histogram: Float64Array | null;
}

export interface Observation {
  readonly values: ReadonlyMap<string, Observed>;
  /** Shapes of these values and of the `sized` ones, for one sample (or as many as the model takes at once). */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

/** Iterates over the samples on each call, this many at a time (or as many as the model takes). */
export interface Passes {
  readonly samples: number;
  feeds(batch: number): AsyncIterable<Feeds>;
}

export interface ObserveOptions {
  readonly histograms: boolean;
  /** Further values for which only the number of elements is needed. */
  readonly sized: readonly string[];
  readonly signal: AbortSignal;
  /** Called during the passes with the share of the whole work done. */
  onProgress(share: number): void;
}

/** Runs the model over the samples, once for extremes and once more for histograms. */
export async function observe(
  model: Model,
  names: readonly string[],
  passes: Passes,
  options: ObserveOptions,
): Promise<Observation> {
  const runtime = await openRuntime(
    writeOnnx({ ...model, graph: exposing(model.graph, [...new Set([...names, ...options.sized])]) }),
  );
  try {
    const { groups, batch, shapes } = await groupBySize(runtime, names, options.sized, passes);
    const total = passes.samples * (options.histograms ? 2 : 1);
    let seen = 0;
    const pass = (visit: Visit) =>
      eachOutput(runtime, groups, {
        passes: passes.feeds(batch),
        signal: options.signal,
        visit,
        onRows: (rows) => options.onProgress(Math.min(1, (seen += rows) / total)),
      });
    const extremes = new Map(names.map((name) => [name, { low: Infinity, high: -Infinity }]));
    await pass((name, { data }) => widen(extremes.get(name), data));
    const histograms = new Map(names.map((name) => [name, new Float64Array(BINS)]));
    if (options.histograms)
      await pass((name, { data }) => count(histograms.get(name), extremes.get(name) ?? EMPTY, data));
    const values = new Map(
      [...extremes].map(([name, { low, high }]) => {
        const seen = low <= high ? { low, high } : EMPTY; // nothing finite was seen
        return [name, { ...seen, histogram: options.histograms ? (histograms.get(name) ?? null) : null }];
      }),
    );
    return { values, shapes };
  } finally {
    await runtime.release();
  }
}

/** The graph with these values as further outputs. */
export function exposing(graph: Graph, names: readonly string[]): Graph {
  const present = new Set(graph.outputs.map(({ name }) => name));
  const typed = names.filter((name) => !present.has(name) && !graph.inputs.some((input) => input.name === name));
  return {
    ...graph,
    outputs: [...graph.outputs, ...typed.map((name) => ({ name, type: { dtype: 'float32' as const, shape: null } }))],
  };
}

/**
 * How many samples to run at a time and, if one sample's values are too large, the groups to fetch them in; takes sizes
 * from a first run.
 */
async function groupBySize(
  runtime: Runtime,
  names: readonly string[],
  sized: readonly string[],
  passes: Passes,
): Promise<{ groups: string[][]; batch: number; shapes: Map<string, readonly number[]> }> {
  const outputs = new Set(runtime.outputNames);
  const fetched = [...new Set([...names, ...sized])].filter((name) => outputs.has(name));
  const observed = new Set(names);
  const sizes = new Map<string, number>();
  const shapes = new Map<string, readonly number[]>();
  for await (const feeds of passes.feeds(1)) {
    for (const [name, { shape }] of feeds) shapes.set(name, shape);
    for (let start = 0; start < fetched.length; start += FIRST_GROUP) {
      for (const [name, { data, dims }] of await runtime.run(feeds, fetched.slice(start, start + FIRST_GROUP))) {
        if (observed.has(name)) sizes.set(name, data.byteLength);
        shapes.set(name, dims);
      }
    }
    break;
  }
  const groups: string[][] = [];
  let group: string[] = [];
  let room = FETCH_BYTES;
  for (const [name, bytes] of sizes) {
    if (group.length === 0 || bytes > room) {
      groups.push((group = []));
      room = FETCH_BYTES;
    }
    group.push(name);
    room -= bytes;
  }
  const total = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0);
  return {
    shapes,
    groups,
    batch: Math.max(1, Math.min(MAX_BATCH, Math.floor(FETCH_BYTES / Math.max(1, total)))),
  };
}

type Visit = (name: string, values: { readonly data: RuntimeOutput['data'] | HostArray['data'] }) => void;

interface OutputVisits {
  readonly passes: AsyncIterable<Feeds>;
  readonly signal: AbortSignal;
  readonly visit: Visit;
  readonly onRows: (rows: number) => void;
}

/** Values of every run: computed ones fetched group by group, graph inputs from the feeds. */
async function eachOutput(
  runtime: Runtime,
  groups: readonly (readonly string[])[],
  { passes, signal, visit, onRows }: OutputVisits,
): Promise<void> {
  for await (const feeds of passes) {
    for (const group of groups) {
      signal.throwIfAborted();
      for (const [name, output] of await runtime.run(feeds, group)) visit(name, output);
    }
    for (const [name, array] of feeds) visit(name, array);
    onRows(rowsOf(feeds) ?? 1);
  }
}

function widen(
  range: { low: number; high: number } | undefined,
  data: RuntimeOutput['data'] | HostArray['data'],
): void {
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

function count(
  histogram: Float64Array | undefined,
  { low, high }: ValueRange,
  data: RuntimeOutput['data'] | HostArray['data'],
): void {
  if (!histogram || data instanceof BigInt64Array || !(high > low)) return;
  const perUnit = BINS / (high - low);
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (value === 0 || Number.isNaN(value)) continue;
    const bin = Math.floor((value - low) * perUnit);
    histogram[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin]!++;
  }
}
