/** What is wrong with a table, and where: a line, a column, or `csv` for all of it. */
import { LatheError } from '../../../errors.ts';

export function malformedCsv(path: string, message: string): LatheError {
  return new LatheError('malformed-dataset', `${path}: ${message}`, [{ path, message }]);
}
