/** Cutting a split in two: seeded, and stratified by class where there are classes. */
import type { Dataset, RawSamples, Split } from './dataset.ts';
import { sharedInts } from './handles.ts';
import { permutation, seededRandom } from './random.ts';

export const EMPTY_SPLIT: Split = {
  length: 0,
  read: async (): Promise<RawSamples> => ({ size: 0, inputs: new Map(), target: null }),
};

/** The samples `indices` of a split, in that order. */
export function subset(split: Split, indices: Int32Array): Split {
  const { nameOf, share } = split;
  return {
    length: indices.length,
    ...(split.isDecoded && { isDecoded: true }),
    ...(nameOf && { nameOf: (index) => nameOf(indices[index]!) }),
    ...(share && { share: (options) => ({ kind: 'subset', of: share(options), indices: sharedInts(indices) }) }),
    ...(split.labels ? { labels: Int32Array.from(indices, (i) => split.labels![i]!) } : {}),
    read: (wanted, options) =>
      split.read(
        Int32Array.from(wanted, (i) => indices[i]!),
        options,
      ),
  };
}

/**
 * Which of `count` samples to hold out: about `fraction` of every class, at least one of each class that has two or
 * more, and never all of a class. Both lists are sorted.
 */
export function stratifiedHoldOut(
  count: number,
  labels: Int32Array | null,
  fraction: number,
  seed: number,
): { kept: Int32Array; held: Int32Array } {
  const random = seededRandom(seed);
  const held = new Set<number>();
  for (const members of groups(count, labels)) {
    const share = Math.min(members.length - 1, Math.max(1, Math.round(members.length * fraction)));
    const order = permutation(members.length, random);
    for (let i = 0; i < share; i++) held.add(members[order[i]!]!);
  }
  const all = Array.from({ length: count }, (_, i) => i);
  return {
    kept: Int32Array.from(all.filter((i) => !held.has(i))),
    held: Int32Array.from(all.filter((i) => held.has(i))),
  };
}

function groups(count: number, labels: Int32Array | null): number[][] {
  const byClass = new Map<number, number[]>();
  for (let i = 0; i < count; i++) {
    const label = labels ? labels[i]! : 0;
    const members = byClass.get(label);
    if (members) members.push(i);
    else byClass.set(label, [i]);
  }
  return [...byClass.entries()].sort(([a], [b]) => a - b).map(([, members]) => members);
}

/** Share of the training samples held out where the dataset has no validation split. */
const VALIDATION_FRACTION = 0.1;

/**
 * The dataset's own validation split, or `fraction` (default 0.1) of its training split held out (stratified by
 * `labels` of the training split).
 */
export function trainAndValidation(
  dataset: Dataset,
  fraction: number | undefined,
  seed: number,
): { train: Split; validation: Split } {
  const train = dataset.split('train');
  const validation = dataset.split('validation');
  if (validation.length > 0 || train.length < 2) return { train, validation };
  const { kept, held } = stratifiedHoldOut(train.length, train.labels ?? null, fraction ?? VALIDATION_FRACTION, seed);
  return { train: subset(train, kept), validation: subset(train, held) };
}
