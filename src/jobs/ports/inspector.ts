/** Parsers of uploads; src/inspection/ implements this. */
import type { DatasetDescription } from '../../contracts/dataset.ts';
import type { ModelDescription } from '../../contracts/model.ts';

/** Parses uploads in limited child processes; the parser's errors come back as `LatheError`s. */
export interface Inspector {
  model(path: string): Promise<ModelDescription>;
  dataset(path: string, options: Record<string, string>): Promise<DatasetDescription>;
}
