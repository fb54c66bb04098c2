/** Limited child: what a model file holds. Argument: the file's path. */
import { readFile } from 'node:fs/promises';
import { readModel } from '../../src/compression/formats/read-model.ts';
import { describeModel } from '../../src/compression/graph/describe.ts';
import { answer } from './answer.ts';

await answer(async () => {
  const { format, model } = await readModel(await readFile(process.argv[2] as string));
  return describeModel(model, format);
}, 'malformed-model');
