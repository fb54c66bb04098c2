/** Measures the files of one or several recipes in one pass over the samples. */
import type { ExportedFile, Measures } from '../../contracts/report.ts';
import { measureModels, type MeasureRequest } from '../measure/measure.ts';
import { exportReport, type Exported } from './exports.ts';
import { sha256 } from './sha256.ts';
import { elementAt, entryOf } from '../ir/checked-access.ts';

/** The files of one recipe: each step's ONNX file, and those of other formats. */
export interface RecipeModels {
  readonly files: readonly Uint8Array[];
  readonly exports: readonly Exported[];
}

export interface RecipeMeasures {
  /** Of the original, then of each step's file. */
  readonly measures: readonly Measures[];
  readonly exported: readonly ExportedFile[];
}

/** Measures equal files once, such as those of steps that recipes share. Results are in the order of `recipes`. */
export async function measureRecipes(
  setting: Omit<MeasureRequest, 'candidates' | 'untimed'>,
  recipes: readonly RecipeModels[],
): Promise<RecipeMeasures[]> {
  const timed = distinctFiles([setting.original, ...recipes.flatMap(({ files }) => files)]);
  const untimed = distinctFiles(recipes.flatMap(({ exports }) => exports.map(({ readBack }) => readBack)));
  const [, ...candidates] = timed.values();
  const all = await measureModels({ ...setting, candidates, untimed: [...untimed.values()] });
  const byHash = (files: ReadonlyMap<string, Uint8Array>, measures: readonly Measures[]) => {
    const found = new Map([...files.keys()].map((hash, i) => [hash, elementAt(measures, i, 'measures of file')]));
    return (bytes: Uint8Array): Measures => entryOf(found, sha256(bytes), 'measures of');
  };
  const ofFile = byHash(timed, all);
  const ofExport = byHash(untimed, all.slice(timed.size));
  return Promise.all(
    recipes.map(async ({ files, exports }) => ({
      measures: [setting.original, ...files].map(ofFile),
      exported: await Promise.all(exports.map((file) => exportReport(file, ofExport(file.readBack)))),
    })),
  );
}

/** By hash, in the order of their first occurrence. */
function distinctFiles(files: readonly Uint8Array[]): Map<string, Uint8Array> {
  return new Map(files.map((bytes) => [sha256(bytes), bytes]));
}
