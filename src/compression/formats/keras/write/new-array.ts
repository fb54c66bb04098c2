/** What of a file is written anew, and how that is refused. */
import { LatheError } from '../../../../errors.ts';

/** New content of an array of the file. */
export interface NewArray {
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

/** @param name the weight, node or array that the file cannot say */
export const refuse = (name: string, message: string): LatheError =>
  new LatheError('unsupported-operator', `"${name}": ${message}`, [{ path: name, message }]);
