/**
 * NumPy archives. Arrays `x` and `y`, or one array per model input by its name and `y`; the suffixes `_train`, `_test`,
 * `_val` and
 * `_validation` say the split (none: train). An array without axes is one number for all samples. Without `y` the data
 * are unlabelled.
 */
import { LatheError } from '../../errors.ts';
import { arrayDataset } from './array-dataset.ts';
import type { SplitArrays } from './array-split.ts';
import { repeatedScalar, type StoredArray } from './array-store.ts';
import type { Dataset, SplitName } from './dataset.ts';
import { readNpy } from './npy.ts';
import type { Zip } from './zip.ts';

const SUFFIXES: readonly (readonly [string, SplitName])[] = [
  ['_train', 'train'],
  ['_test', 'test'],
  ['_val', 'validation'],
  ['_validation', 'validation'],
];

function nameAndSplit(path: string): { name: string; split: SplitName } {
  const array = path.slice(0, -'.npy'.length);
  for (const [suffix, split] of SUFFIXES)
    if (array.length > suffix.length && array.endsWith(suffix)) return { name: array.slice(0, -suffix.length), split };
  return { name: array, split: 'train' };
}

export async function openNpz(zip: Zip): Promise<Dataset> {
  const parts = new Map<SplitName, Part>();
  try {
    for (const entry of zip.entries) {
      if (!entry.path.endsWith('.npy'))
        throw new LatheError('malformed-dataset', `"${entry.path}" in the archive is no .npy array`, [
          { path: entry.path, message: 'is no .npy array' },
        ]);
      const { name, split } = nameAndSplit(entry.path);
      const part = parts.get(split) ?? { inputs: new Map<string, StoredArray>(), target: null };
      parts.set(split, part);
      const array = await readNpy(await zip.stream(entry), entry.path.slice(0, -'.npy'.length));
      if (part.inputs.has(name) || (isTarget(name) && part.target)) {
        array.close();
        throw new LatheError(
          'malformed-dataset',
          `"${entry.path}" gives "${name}" of the ${split} split a second time`,
        );
      }
      if (isTarget(name)) part.target = array;
      else part.inputs.set(name, array);
    }
  } catch (error) {
    closeAll(parts);
    throw error;
  }
  spreadScalars(parts);
  return arrayDataset('npz', parts, { name: 'y' });
}

interface Part {
  readonly inputs: Map<string, StoredArray>;
  target: StoredArray | null;
}

/**
 * A number alone is the same for every sample, and for every split that gives none of its own: a sampling rate, a
 * temperature.
 */
function spreadScalars(parts: ReadonlyMap<SplitName, Part>): void {
  const isScalar = ({ shape }: StoredArray): boolean => shape.length === 0;
  const common = [...(parts.get('train')?.inputs ?? [])].filter(([, array]) => isScalar(array));
  for (const { inputs } of parts.values()) {
    const count = [...inputs.values()].find((array) => !isScalar(array))?.shape[0];
    if (count === undefined) continue; // no samples: refused by arrayDataset
    for (const [name, array] of common) if (!inputs.has(name)) inputs.set(name, array);
    for (const [name, array] of inputs) if (isScalar(array)) inputs.set(name, repeatedScalar(array, count));
  }
}

const isTarget = (name: string) => name === 'y' || name === 'Y';

function closeAll(parts: ReadonlyMap<SplitName, SplitArrays>): void {
  for (const part of parts.values()) {
    part.target?.close();
    for (const array of part.inputs.values()) array.close();
  }
}
