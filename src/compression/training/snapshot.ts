/** Values of a training's variables on the host, by name, and back. */
import { tf } from '../tensor/tf.ts';
import type { NamedVariable } from './named-variable.ts';
import { entryOf } from '../ir/checked-access.ts';

export interface SnapshotValue {
  /** In the engine's order of axes. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** By `keyOf` its variable. */
export type Snapshot = ReadonlyMap<string, SnapshotValue>;

/** A kind contains no space. */
function keyOf({ kind, parameter }: NamedVariable): string {
  return `${kind} ${parameter}`;
}

/** @throws Error if two variables have the same name */
export function takeSnapshot(variables: readonly NamedVariable[]): Snapshot {
  const snapshot = new Map<string, SnapshotValue>();
  for (const item of variables) {
    const key = keyOf(item);
    if (snapshot.has(key)) throw new Error(`There are two variables "${key}"`);
    const { shape } = item.variable;
    snapshot.set(key, { shape: [...shape], data: Float32Array.from(item.variable.dataSync()) });
  }
  return snapshot;
}

/** Whether the snapshot holds these variables in their shapes, and no others. */
export function fitsSnapshot(variables: readonly NamedVariable[], snapshot: Snapshot): boolean {
  return (
    snapshot.size === variables.length &&
    variables.every((item) => snapshot.get(keyOf(item))?.shape.join() === item.variable.shape.join())
  );
}

/** @param snapshot one that fits */
export function restoreSnapshot(variables: readonly NamedVariable[], snapshot: Snapshot): void {
  for (const item of variables) {
    const { data, shape } = entryOf(snapshot, keyOf(item), 'variable');
    tf.tidy(() => item.variable.assign(tf.tensor(data, [...shape], 'float32')));
  }
}
