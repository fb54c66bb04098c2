/** What the training loops of several replicas do together; a process that trains alone does each by itself. */
import { amongAll } from '../collective/collective.ts';
import type { Replica } from '../collective/replica.ts';
import type { BatchSource } from '../data/dataset.ts';
import { tf } from '../tensor/tf.ts';
import type { NamedVariable } from './named-variable.ts';

/** This replica's share of every batch. */
export function shareOf(source: BatchSource, replica: Replica | undefined): BatchSource {
  return replica ? source.shard(replica.collective.rank, replica.collective.size) : source;
}

/** Sums figures over all replicas. */
export async function total(figures: Float64Array, replica: Replica | undefined): Promise<Float64Array> {
  return replica ? replica.collective.sum(figures) : figures;
}

/** Gives the variables rank 0's values: all replicas start equal. @throws Error if theirs have other shapes */
export async function adoptValues(variables: readonly NamedVariable[], replica: Replica | undefined): Promise<void> {
  if (!replica || replica.collective.size === 1) return;
  const { collective } = replica;
  const values = joined(variables, collective.rank === 0);
  const bytes = await amongAll(() => collective.broadcast(new Uint8Array(values.buffer)));
  if (bytes.byteLength !== values.byteLength)
    throw new Error(
      `Replica ${collective.rank} trains ${values.byteLength} bytes of variables, replica 0 ${bytes.byteLength}`,
    );
  if (collective.rank > 0) assign(variables, new Float32Array(bytes.buffer, bytes.byteOffset, values.length));
}

function joined(variables: readonly NamedVariable[], withValues: boolean): Float32Array<ArrayBuffer> {
  const values = new Float32Array(variables.reduce((sum, { variable }) => sum + variable.size, 0));
  let at = 0;
  for (const { variable } of withValues ? variables : []) {
    values.set(variable.dataSync(), at);
    at += variable.size;
  }
  return values;
}

function assign(variables: readonly NamedVariable[], values: Float32Array): void {
  let at = 0;
  for (const { variable } of variables) {
    const own = values.slice(at, at + variable.size);
    tf.tidy(() => variable.assign(tf.tensor(own, variable.shape, 'float32')));
    at += variable.size;
  }
}
