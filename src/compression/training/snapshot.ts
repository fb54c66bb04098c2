/** Values of variables on the host, and back. */
import { tf, type TfVariable } from '../tensor/tf.ts';

export type Snapshot = readonly Float32Array[];

export function takeSnapshot(variables: readonly TfVariable[]): Float32Array[] {
  return variables.map((variable) => Float32Array.from(variable.dataSync()));
}

export function restoreSnapshot(variables: readonly TfVariable[], snapshot: Snapshot): void {
  variables.forEach((variable, i) =>
    tf.tidy(() => variable.assign(tf.tensor(snapshot[i]!, variable.shape, 'float32'))),
  );
}
