/**
 * Batches (host arrays in the model's own form) -> tensors on the engine, in a fixed order, and -> the network's feeds.
 */
import { LatheError } from '../../errors.ts';
import type { Batch, HostArray } from '../data/dataset.ts';
import type { Network } from '../network/network.ts';
import type { Value } from '../operators/operator.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { padRows, fixedBatchOf, type Rows } from './rows.ts';
import { elementAt } from '../ir/checked-access.ts';

/** The batch's inputs in the network's order; the target last, where there is one. The caller disposes them. */
export function batchTensors(network: Network, batch: Batch): TfTensor[] {
  const inputs = network.inputs.map(({ name }) => {
    const array = batch.inputs.get(name);
    if (!array) throw new LatheError('shape-mismatch', `the dataset gives nothing for model input "${name}"`);
    return upload(array);
  });
  return batch.target ? [...inputs, upload(batch.target)] : inputs;
}

/** The inputs of one run of a network. */
export interface BatchFeeds {
  /** Padded to the batch size that the model fixes. */
  readonly feeds: ReadonlyMap<string, Value>;
  readonly rows: Rows;
  /** For the samples that count. */
  readonly target: TfTensor | null;
}

/** Tensors in the order of `batchTensors` -> what `Network.run` takes, and the target. */
export function feedsOf(network: Network, tensors: readonly TfTensor[]): BatchFeeds {
  const samples = tensors.slice(0, network.inputs.length);
  const counted = samplesOf(samples);
  const rows = { counted, run: fixedBatchOf(network) ?? counted };
  const feeds = new Map(
    network.inputs.map(({ name, type }, i): [string, Value] => [
      name,
      { kind: 'device', dtype: type.dtype, tensor: padRows(elementAt(samples, i, 'input'), rows) },
    ]),
  );
  return { feeds, rows, target: tensors[network.inputs.length] ?? null };
}

/** How many samples a batch of these tensors has. */
export function samplesOf(tensors: readonly TfTensor[]): number {
  return tensors.find(({ rank }) => rank > 0)?.shape[0] ?? 1;
}

/** Integers live as int32 on the engine. */
export function upload({ dtype, shape, data }: HostArray): TfTensor {
  if (dtype === 'float32') return tf.tensor(data as Float32Array, [...shape], 'float32');
  if (dtype === 'bool') return tf.tensor(data as Uint8Array, [...shape], 'bool');
  return tf.tensor(data instanceof BigInt64Array ? narrowed(data) : Int32Array.from(data), [...shape], 'int32');
}

function narrowed(data: BigInt64Array): Int32Array {
  const values = Int32Array.from(data, Number);
  const lost = data.findIndex((value, i) => BigInt(values[i]!) !== value);
  if (lost >= 0)
    throw new LatheError(
      'malformed-dataset',
      `the value ${data[lost]} does not fit the 32-bit integers that training computes with`,
    );
  return values;
}

/** A value of the network as a float tensor (scores of float16 models are already float32 on the engine). */
export function floatTensor(value: Value): TfTensor {
  if (value.kind === 'device') return value.tensor.dtype === 'float32' ? value.tensor : value.tensor.cast('float32');
  return tf.tensor(
    Float32Array.from(value.value.data as ArrayLike<number | bigint>, Number),
    [...value.value.dims],
    'float32',
  );
}
