/** Makes a dataset of decoded arrays (npz, idx, csv): checks them, reads the target, completes the splits. */
import type { DatasetDescription, DatasetFormat } from '../../contracts/dataset.ts';
import { LatheError } from '../../errors.ts';
import { arraySplit, type SplitArrays } from './array-split.ts';
import type { Dataset, Split, SplitName } from './dataset.ts';
import { EMPTY_SPLIT, stratifiedHoldOut, subset } from './splits.ts';
import { rangeOf } from './range.ts';
import { readTarget, type Target } from './target.ts';

/**
 * Share of the samples held out as test split where the data name none, and the seed: fixed, so that no job trains on
 * another's test samples.
 */
export const TEST_FRACTION = 0.1;
export const SPLIT_SEED = 20_240_229;

export type ArrayParts = ReadonlyMap<SplitName, SplitArrays>;

const bad = (path: string, message: string) =>
  new LatheError('malformed-dataset', `"${path}": ${message}`, [{ path, message }]);

export interface TargetNaming {
  /** The target's name in errors. */
  readonly name: string;
  /** Class names in index order. */
  readonly classes?: readonly string[];
}

/** Takes ownership of the arrays: they are closed with the dataset, or here when it is refused. */
export function arrayDataset(format: DatasetFormat, parts: ArrayParts, naming: TargetNaming): Dataset {
  const close = () => {
    for (const part of parts.values()) for (const array of [...part.inputs.values(), part.target]) array?.close();
  };
  try {
    checkParts(parts);
    const targets = new Map(
      [...parts].map(([name, part]) => [name, part.target ? readTarget(part.target, label(naming.name, name)) : null]),
    );
    const kind = targetKind(targets, naming.name);
    const splits = completeSplits(
      new Map([...parts].map(([name, part]) => [name, arraySplit(part, targets.get(name) ?? null)])),
    );
    return {
      description: describe(format, { parts, splits, kind, naming }),
      split: (name) => splits.get(name) ?? EMPTY_SPLIT,
      close: async () => close(),
    };
  } catch (error) {
    close();
    throw error;
  }
}

const label = (name: string, split: SplitName) => (split === 'train' ? name : `${name}_${split}`);

function checkParts(parts: ArrayParts): void {
  const train = parts.get('train');
  if (!train || train.inputs.size === 0)
    throw new LatheError('malformed-dataset', 'the dataset has no training samples');
  for (const [split, part] of parts) {
    checkLengths(split, part);
    for (const name of train.inputs.keys()) if (!part.inputs.has(name)) throw bad(label(name, split), 'is missing');
    for (const [name, array] of part.inputs) {
      const first = train.inputs.get(name);
      if (!first) throw bad(label(name, split), `there is no "${name}" for training`);
      if (first.dtype !== array.dtype || first.shape.slice(1).join() !== array.shape.slice(1).join()) {
        throw bad(
          label(name, split),
          `holds ${array.dtype} samples of shape [${array.shape.slice(1).join(', ')}]; those for training are ` +
            `${first.dtype} [${first.shape.slice(1).join(', ')}]`,
        );
      }
    }
    if (!part.target !== !train.target)
      throw bad(
        split,
        `${part.target ? 'has' : 'lacks'} labels, the training split ${part.target ? 'lacks' : 'has'} them`,
      );
  }
}

function checkLengths(split: SplitName, part: SplitArrays): void {
  const arrays = [...part.inputs, ...(part.target ? [['target', part.target] as const] : [])];
  const scalar = arrays.find(([, array]) => array.shape.length === 0);
  if (scalar) throw bad(label(scalar[0], split), 'is a scalar; the first axis must be samples');
  const [named] = arrays;
  if (!named) throw bad(label('x', split), 'has no arrays');
  const [firstName, first] = named;
  for (const [name, array] of arrays) {
    if (array.shape[0] === first.shape[0]) continue;
    throw bad(label(name, split), `has ${array.shape[0]} samples, "${label(firstName, split)}" has ${first.shape[0]}`);
  }
  if (first.shape[0] === 0) throw bad(label(firstName, split), 'has no samples');
}

type Kind =
  | { readonly kind: 'classes'; readonly classes: number }
  | { readonly kind: 'values' }
  | { readonly kind: 'none' };

function targetKind(targets: ReadonlyMap<SplitName, Target | null>, name: string): Kind {
  const known = [...targets.values()].filter((target) => target !== null);
  if (known.length === 0) return { kind: 'none' };
  const kinds = new Set(known.map((target) => target.kind));
  if (kinds.size > 1) throw bad(name, 'holds classes in one split and values in another');
  return known.every((target) => target.kind === 'classes')
    ? { kind: 'classes', classes: Math.max(...known.map((target) => target.classes)) }
    : { kind: 'values' };
}

/**
 * Adds a test split where none is given: a tenth of the training split, stratified. One sample alone stays for
 * training.
 */
export function completeSplits(given: ReadonlyMap<SplitName, Split>): Map<SplitName, Split> {
  const splits = new Map(given);
  const train = given.get('train') ?? EMPTY_SPLIT;
  if (given.has('test') || train.length < 2) return splits;
  const { kept, held } = stratifiedHoldOut(train.length, train.labels ?? null, TEST_FRACTION, SPLIT_SEED);
  if (held.length === 0) return splits;
  return splits.set('train', subset(train, kept)).set('test', subset(train, held));
}

export function splitLengths(splits: ReadonlyMap<SplitName, Split>): DatasetDescription['splits'] {
  const length = (name: SplitName) => splits.get(name)?.length ?? 0;
  return { train: length('train'), validation: length('validation'), test: length('test') };
}

interface DescribeInput {
  readonly parts: ArrayParts;
  readonly splits: ReadonlyMap<SplitName, Split>;
  readonly kind: Kind;
  readonly naming: TargetNaming;
}

function describe(format: DatasetFormat, { parts, splits, kind, naming }: DescribeInput): DatasetDescription {
  const lengths = splitLengths(splits);
  const train = parts.get('train');
  const ranges = [...(train?.inputs.keys() ?? [])].flatMap((name) => rangeOf(name, parts) ?? []);
  return {
    format,
    samples: lengths.train + lengths.validation + lengths.test,
    splits: lengths,
    inputs: [...(train?.inputs ?? [])].map(([name, array]) => ({
      name,
      dtype: array.dtype,
      shape: array.shape.slice(1),
    })),
    ...(ranges.length > 0 && { ranges }),
    target: {
      kind: kind.kind,
      classes: kind.kind === 'classes' ? Math.max(kind.classes, naming.classes?.length ?? 0) : null,
      ...(naming.classes ? { names: [...naming.classes] } : {}),
      ...(kind.kind === 'values' && train?.target ? { shape: train.target.shape.slice(1) } : {}),
    },
  };
}
