/** Parts that exchange over sockets train what one process does, and end with the same bytes. */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Network } from '../../../src/compression/network/network.ts';
import { partStep, type PartSum } from '../../../src/compression/parallel/pipeline/part-step.ts';
import { chainOf, oneForwardOneBackward } from '../../../src/compression/parallel/pipeline/schedule.ts';
import { stagedStep, type StagedOptions } from '../../../src/compression/parallel/pipeline/staged-step.ts';
import { StreamLink } from '../../../src/compression/parallel/pipeline/stream-link.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { tf } from '../../../src/compression/tensor/tf.ts';
import { clouds, convolutional, images, perceptron } from '../../support/models.ts';
import { expectClose, trained, type Ended } from '../../support/staged-training.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

function chain(network: Network, stages: number, microBatches: number): StagedOptions {
  const { instructions } = network.parts.program;
  return {
    stageOf: instructions.map((_, i) => Math.floor((i * stages) / instructions.length)),
    stages: chainOf(stages),
    microBatches,
    schedule: (count) => oneForwardOneBackward(stages, count),
  };
}

/** Both ends of a Unix socket. */
async function socketPair(path: string): Promise<[Socket, Socket]> {
  const server = createServer().listen(path);
  await once(server, 'listening');
  const near = connect(path);
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  return [near, far];
}

/** By part, its stream to each other part. */
async function socketsAmong(parts: number, folder: string): Promise<Map<number, Socket>[]> {
  const streams = Array.from({ length: parts }, () => new Map<number, Socket>());
  for (let a = 0; a < parts; a++)
    for (let b = a + 1; b < parts; b++) {
      const [near, far] = await socketPair(join(folder, `${a}-${b}`));
      streams[a]!.set(b, near);
      streams[b]!.set(a, far);
    }
  return streams;
}

/** Sums of what all parts gave, in their order, once the last has given. */
function sumAmong(parts: number): PartSum[] {
  let given: Float32Array[] = [];
  let waiting: ((sum: Float32Array) => void)[] = [];
  const finish = (): void => {
    const sum = given[0]!.map((_, i) => given.reduce((total, values) => total + values[i]!, 0));
    const all = waiting;
    [given, waiting] = [[], []];
    for (const resolve of all) resolve(sum.slice());
  };
  return Array.from({ length: parts }, (_, part) => ({
    sum: (values) =>
      new Promise((resolve) => {
        given[part] = values;
        waiting.push(resolve);
        if (waiting.length === parts) finish();
      }),
  }));
}

async function inParts(
  parts: number,
  run: (step: (network: Network) => ReturnType<typeof partStep>) => Promise<Ended>,
  microBatches: number,
): Promise<Ended[]> {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-parts-'));
  const streams = await socketsAmong(parts, folder);
  const sums = sumAmong(parts);
  try {
    return await Promise.all(
      streams.map((own, part) => {
        const link = new StreamLink(
          part,
          chainOf(parts).map((stage) => stage.part),
          own,
        );
        return run((network) =>
          partStep({ ...chain(network, parts, microBatches), part, link, collective: sums[part]! }),
        );
      }),
    );
  } finally {
    for (const socket of streams.flatMap((each) => [...each.values()])) socket.destroy();
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.each([2, 3])('%i parts', (parts) => {
  test('of a convolutional network with batch normalization', async () => {
    const whole = await trained(convolutional(), images(), (network) => stagedStep(chain(network, parts, 4)));
    const found = await inParts(parts, (step) => trained(convolutional(), images(), step), 4);
    for (const part of found) expectClose(part, whole);
    for (const part of found) expect(part).toEqual(found[0]);
  });

  test('of a perceptron with masks, and clipped gradients', async () => {
    const whole = await trained(perceptron(), clouds(), (network) => stagedStep(chain(network, parts, 3)), true);
    const found = await inParts(parts, (step) => trained(perceptron(), clouds(), step, true), 3);
    for (const part of found) expectClose(part, whole);
  });
});

describe('a stream', () => {
  const address = { kind: 'forward', from: 0, to: 1, microBatch: 0 } as const;

  test('carries every kind of value as it is', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lathe-parts-'));
    const [near, far] = await socketPair(join(folder, 's'));
    const [sender, receiver] = [
      new StreamLink(0, [0, 1], new Map([[1, near]])),
      new StreamLink(1, [0, 1], new Map([[0, far]])),
    ];
    const values = new Map([
      ['float', { kind: 'device', dtype: 'float16', tensor: tf.tensor([1.5, -0, NaN], [3]) }],
      ['int', { kind: 'device', dtype: 'int64', tensor: tf.tensor([[7], [8]], [2, 1], 'int32') }],
      ['bool', { kind: 'device', dtype: 'bool', tensor: tf.tensor([1, 0], [2], 'bool') }],
      ['empty', { kind: 'device', dtype: 'float32', tensor: tf.tensor([], [0, 3]) }],
      ['shape', { kind: 'host', value: { dtype: 'int64', dims: [2], data: BigInt64Array.of(-1n, 2n ** 60n) } }],
      ['words', { kind: 'host', value: { dtype: 'string', dims: [1], data: ['à'] } }],
    ] as const);
    await sender.send(address, values);
    const got = await receiver.receive(address);
    const read = [...got].map(([name, value]) =>
      value.kind === 'host'
        ? [name, value.value]
        : [name, value.dtype, value.tensor.dtype, value.tensor.shape, [...value.tensor.dataSync()]],
    );
    expect(read).toEqual([
      ['float', 'float16', 'float32', [3], [1.5, -0, NaN]],
      ['int', 'int64', 'int32', [2, 1], [7, 8]],
      ['bool', 'bool', 'bool', [2], [1, 0]],
      ['empty', 'float32', 'float32', [0, 3], []],
      ['shape', { dtype: 'int64', dims: [2], data: BigInt64Array.of(-1n, 2n ** 60n) }],
      ['words', { dtype: 'string', dims: [1], data: ['à'] }],
    ]);
    near.destroy();
    far.destroy();
    rmSync(folder, { recursive: true, force: true });
  });

  test('that ends fails who waits, and names the part', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lathe-parts-'));
    const [near, far] = await socketPair(join(folder, 's'));
    const receiver = new StreamLink(1, [0, 1], new Map([[0, far]]));
    const waiting = receiver.receive(address);
    near.destroy();
    await expect(waiting).rejects.toThrow('Part 0 of the model is gone');
    await expect(receiver.receive(address)).rejects.toThrow('Part 0 of the model is gone');
    rmSync(folder, { recursive: true, force: true });
  });
});
