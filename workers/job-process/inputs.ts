/** What a task names by path, opened: the same in a job process and in its replicas. */
import { readFile } from 'node:fs/promises';
import { openDataset } from '../../src/compression/data/open.ts';
import type { RecipeInput } from '../../src/compression/recipe/types.ts';
import { LatheError } from '../../src/errors.ts';
import type { JobTask } from './protocol.ts';

/** The caller closes the dataset. */
export async function openInputs(
  task: JobTask,
): Promise<Pick<RecipeInput, 'modelBytes' | 'dataset' | 'others' | 'loadModelBytes'>> {
  const others = new Map(task.otherModels.map((model) => [model.id, model]));
  return {
    modelBytes: await readFile(task.model.path),
    dataset: task.dataset ? await openDataset(task.dataset.path, task.dataset.options) : null,
    others: new Map([...others].map(([id, { description }]) => [id, description])),
    loadModelBytes: (id) => readFile(pathOf(others, id)),
  };
}

function pathOf(models: ReadonlyMap<string, { readonly path: string }>, id: string): string {
  const model = models.get(id);
  if (!model) throw new LatheError('not-found', `There is no model ${id}`);
  return model.path;
}
