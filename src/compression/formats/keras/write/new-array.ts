/** A newly written array of a file, and the error that refuses it. */
import { LatheError } from '../../../../errors.ts';

/** New content of an array of the file. */
export interface NewArray {
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

/** @param name the weight, node or array that the file cannot express */
export const refuse = (name: string, message: string): LatheError =>
  new LatheError('unsupported-operator', `"${name}": ${message}`, [{ path: name, message }]);
