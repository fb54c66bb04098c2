/** Runs a network on host arrays, outside training. */
import type { HostArray } from '../data/dataset.ts';
import { hostNumbers, hostOf, isFloat } from '../ir/tensor-data.ts';
import type { DataType } from '../ir/types.ts';
import type { Feeds } from '../measure/session.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Value } from '../operators/operator.ts';
import { download, upload } from '../operators/transfer.ts';
import { tf } from '../tensor/tf.ts';
import type { LoopLimit } from '../network/loop-limit.ts';
import type { Network } from '../network/network.ts';

/** The outputs and the values named in `fetch`, by name. */
export function runNetwork(
  network: Network,
  feeds: Feeds,
  fetch: readonly string[],
  loops?: LoopLimit,
): Map<string, HostTensor> {
  const results = new Map<string, HostTensor>();
  tf.tidy(() => {
    const { outputs } = network.run(
      new Map(network.inputs.map(({ name, type }) => [name, feedOf(feedNamed(name, feeds), type.dtype)])),
      { training: false, freesValues: true, fetch, ...(loops && { loops }) },
    );
    for (const [name, value] of outputs)
      results.set(name, value.kind === 'host' ? value.value : download(value.tensor, value.dtype));
  });
  return results;
}

function feedNamed(name: string, feeds: Feeds): HostArray {
  const feed = feeds.get(name);
  if (!feed) throw new Error(`No value is given for the network's input "${name}"`);
  return feed;
}

/** Floats to the device, all else exact on the host. */
function feedOf(array: HostArray, dtype: DataType): Value {
  const host: HostTensor = { dtype: array.dtype, dims: array.shape, data: array.data };
  return isFloat(dtype)
    ? { kind: 'device', dtype, tensor: upload(host) }
    : { kind: 'host', value: { ...host, dtype, data: integers(host, dtype) } };
}

function integers(host: HostTensor, dtype: DataType): HostTensor['data'] {
  return dtype === host.dtype ? host.data : hostOf(dtype, host.dims, hostNumbers(host)).data;
}
