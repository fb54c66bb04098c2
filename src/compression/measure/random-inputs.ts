/** Seeded random inputs for a model without a dataset. */
import { isExhausted, LatheError } from '../../errors.ts';
import { allocate, elementCount } from '../data/array-store.ts';
import type { HostArray } from '../data/dataset.ts';
import { seededNormal, seededRandom } from '../data/random.ts';
import { storageDtype } from '../data/transform.ts';
import type { Model } from '../ir/types.ts';
import { indexBounds } from '../graph/index-bounds.ts';
import { fixedBatch, runBatchSize } from './inputs.ts';
import { openSize, sizesToTry, type OpenSizes } from './open-sizes.ts';
import type { Feeds, Runtime, RuntimeInput } from './session.ts';
import { tracedSizes } from './traced-sizes.ts';

export interface RandomInputs {
  /** Fewest samples per run: what the model fixes, or the sizes inside it; otherwise 1. */
  readonly minSamples: number;
  /** Most samples per run: `minSamples` where the model accepts no more, otherwise up to `runBatchSize`. */
  readonly maxSamples: number;
  /** Feeds number `index` with `batch` samples; equal numbers, equal feeds. */
  make(index: number, batch: number): Feeds;
}

/** How long sizes are tried after the first ones have failed. */
const TIMEOUT_MS = 10_000;

/**
 * Random inputs for a model: standard normal floats, whole numbers within the bounds of the tables they index, else 0
 * or 1. Open dimensions are found by trying.
 * @throws LatheError `shape-mismatch` where the model accepts no size.
 */
export async function randomInputs(model: Model, runtime: Runtime, seed: number): Promise<RandomInputs> {
  const maker = feedsMaker(model, runtime.inputs, seed);
  const fixed = fixedBatch(runtime.inputs);
  const end = performance.now() + TIMEOUT_MS;
  let failure: unknown;
  for (const sizes of sizesToTry(runtime.inputs, fixed, () => tracedSizes(model))) {
    const make = maker(sizes);
    const problem = await problemOf(runtime, make(0, sizes.batch));
    if (problem === null)
      return { make, minSamples: sizes.batch, maxSamples: await findMaxSamples(runtime, fixed, sizes, make) };
    failure ??= problem;
    if (performance.now() > end) break;
  }
  throw new LatheError(
    'shape-mismatch',
    `the model accepts no random input of any size tried: ${(failure as Error).message}; give a dataset`,
    [],
    { cause: failure },
  );
}

/** @returns null where the runtime takes the feeds. */
async function problemOf(runtime: Runtime, feeds: Feeds): Promise<unknown> {
  try {
    await runtime.run(feeds);
    return null;
  } catch (error) {
    if (isExhausted(error)) throw error; // not for the sizes
    return error;
  }
}

async function findMaxSamples(
  runtime: Runtime,
  fixed: number | null,
  { batch }: OpenSizes,
  make: RandomInputs['make'],
): Promise<number> {
  const more = fixed === null && (await problemOf(runtime, make(0, batch + 1))) === null;
  return more ? Math.max(batch, runBatchSize(runtime.inputs)) : batch;
}

function feedsMaker(
  model: Model,
  inputs: readonly RuntimeInput[],
  seed: number,
): (sizes: OpenSizes) => RandomInputs['make'] {
  const bounds = indexBounds(model);
  const symbols = inputSymbols(model);
  const batchSymbols = new Set([...symbols.values()].flatMap(([first]) => (first ? [first] : [])));
  return (sizes) => (index, batch) =>
    new Map(
      inputs.map((input, i) => {
        const isBatch = (axis: number): boolean => batchSymbols.has(symbols.get(input.name)?.[axis] ?? '');
        const open = { ...sizes, batch };
        const shape = input.shape.map((size, axis) => size ?? openSize(input, axis, isBatch(axis), open));
        return [input.name, randomArray(input, shape, wholeBelow(input, bounds, sizes), [seed, index, i])];
      }),
    );
}

function inputSymbols(model: Model): ReadonlyMap<string, readonly (string | null)[]> {
  return new Map(
    model.graph.inputs.map(({ name, type }) => [
      name,
      (type?.shape ?? []).map((dim) => (typeof dim === 'string' ? dim : null)),
    ]),
  );
}

/** Whole numbers from `low` on and below `high`. */
interface Range {
  readonly low: number;
  readonly high: number;
}

function wholeBelow({ name, dtype }: RuntimeInput, bounds: ReadonlyMap<string, number>, { whole }: OpenSizes): Range {
  if (whole === 'zeros') return { low: 0, high: 1 };
  return whole === 'ones' ? { low: 1, high: 2 } : { low: 0, high: bounds.get(name) ?? (dtype === 'uint8' ? 256 : 2) };
}

function randomArray(
  { dtype }: RuntimeInput,
  shape: readonly number[],
  { low, high }: Range,
  seed: readonly [number, number, number],
): HostArray {
  const carrier = storageDtype(dtype);
  const data = allocate(carrier, elementCount(shape));
  if (carrier === 'float32') {
    const normal = seededNormal(...seed);
    for (let i = 0; i < data.length; i++) data[i] = normal();
    return { dtype: carrier, shape, data };
  }
  const uniform = seededRandom(...seed);
  for (let i = 0; i < data.length; i++) {
    const value = low + Math.floor(uniform() * (high - low));
    data[i] = data instanceof BigInt64Array ? BigInt(value) : value;
  }
  return { dtype: carrier, shape, data };
}
