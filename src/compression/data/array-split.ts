/** A split of arrays: rows are gathered by index. */
import { openArray, type StoredArray } from './array-store.ts';
import type { HostArray, Split } from './dataset.ts';
import { sharedInts, type SplitHandle, type TargetHandle } from './handles.ts';
import type { Target } from './target.ts';

export interface SplitArrays {
  readonly inputs: ReadonlyMap<string, StoredArray>;
  readonly target: StoredArray | null;
}

export function arraySplit({ inputs }: Pick<SplitArrays, 'inputs'>, target: Target | null): Split {
  const [length = 0] = [...inputs.values()][0]?.shape ?? [];
  return {
    length,
    ...(target?.kind === 'classes' ? { labels: target.labels } : {}),
    read: async (indices) => ({
      size: indices.length,
      inputs: new Map([...inputs].map(([name, array]) => [name, array.rows(indices)])),
      target: target && targetRows(target, indices),
    }),
    share: () => ({
      kind: 'arrays',
      inputs: [...inputs].map(([name, array]) => [name, array.share()] as const),
      target: target && shareTarget(target),
    }),
  };
}

export function openArraySplit({ inputs, target }: Extract<SplitHandle, { kind: 'arrays' }>): Split {
  return arraySplit(
    { inputs: new Map(inputs.map(([name, array]) => [name, openArray(array)])) },
    target && openTarget(target),
  );
}

function targetRows(target: Target, indices: readonly number[] | Int32Array): HostArray {
  if (target.kind === 'values') return target.values.rows(indices);
  return { dtype: 'int32', shape: [indices.length], data: Int32Array.from(indices, (i) => target.labels[i]!) };
}

function shareTarget(target: Target): TargetHandle {
  return target.kind === 'values'
    ? { kind: 'values', values: target.values.share() }
    : { kind: 'classes', labels: sharedInts(target.labels), classes: target.classes };
}

function openTarget(handle: TargetHandle): Target {
  return handle.kind === 'values'
    ? { kind: 'values', values: openArray(handle.values) }
    : { kind: 'classes', labels: new Int32Array(handle.labels), classes: handle.classes };
}
