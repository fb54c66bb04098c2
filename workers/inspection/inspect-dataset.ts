/** Limited child: what a dataset file holds. Arguments: the file's path, the upload's options as JSON. */
import { describeDataset } from '../../src/compression/data/open.ts';
import { answer } from './answer.ts';

await answer(async () => {
  const [path, options] = process.argv.slice(2) as [string, string];
  return describeDataset(path, JSON.parse(options) as Record<string, string>);
}, 'malformed-dataset');
