/**
 * Lathe as a job trains: the network lowered from ONNX, its batches in ONNX's layout on the host. With `by-hand`: the
 * same by hand. BENCH_REPLICA=path,rank,size: one of several replicas in a shared group, each with its share of the
 * batch.
 */
import { availableParallelism } from 'node:os';
import { readOnnx } from '../../src/compression/formats/onnx/read.ts';
import { lowerOrThrow } from '../../src/compression/network/lower.ts';
import { compileStep } from '../../src/compression/tensor/compile.ts';
import { startEngine } from '../../src/compression/tensor/engine.ts';
import { momentumUpdate } from '../../src/compression/tensor/optimizer-kernels.ts';
import * as nn from '../../src/compression/tensor/nn.ts';
import { tf } from '../../src/compression/tensor/tf.ts';
import type { TfTensor } from '../../src/compression/tensor/tf.ts';
import { findHead } from '../../src/compression/training/head.ts';
import { makeOptimizer } from '../../src/compression/training/optimizer.ts';
import { supervisedTerm } from '../../src/compression/training/supervised.ts';
import { Replica } from '../../src/compression/collective/replica.ts';
import type { Collective } from '../../src/compression/collective/collective.ts';
import { joinSharedGroup } from '../../src/compression/tensor/shared-group.ts';
import { replicaStep } from '../../src/compression/training/replica-step.ts';
import { wholeStep } from '../../src/compression/training/whole-step.ts';
import { readVariable } from '../../src/config/read.ts';
import { ARCHITECTURES } from '../architecture-networks.ts';
import { NETWORKS } from '../networks.ts';
import type { BenchNetwork } from '../networks.ts';
import { BATCH_SIZE, LEARNING_RATE, MOMENTUM, serve } from './protocol.ts';

const byHand = process.argv.includes('by-hand');
const engine = await startEngine(readVariable(process.env, 'LATHE_ENGINE'), {
  threads: Number(process.env['BENCH_THREADS'] ?? availableParallelism()),
});
const replica = replicaOf(process.env['BENCH_REPLICA']);
await serve(`${engine.name} ${engine.version}${engine.kernels ? `, kernels for ${engine.kernels}` : ''}`, (name) =>
  Promise.resolve(byHand ? handStep(NETWORKS.find((each) => each.name === name)!) : onnxStep(loaded(name))),
);

interface Loaded {
  readonly bytes: Uint8Array;
  readonly batch: number;
  /** One sample in ONNX's order of axes. */
  readonly input: readonly number[];
}

function loaded(name: string): Loaded {
  const architecture = ARCHITECTURES.find((each) => each.name === name);
  if (architecture) return { ...architecture, bytes: architecture.onnx() };
  const {
    image: [height, width, channels],
    onnx,
  } = NETWORKS.find((each) => each.name === name)!;
  return { bytes: onnx(), batch: BATCH_SIZE, input: [channels, height, width] };
}

function replicaOf(place: string | undefined): Replica | null {
  if (!place) return null;
  const [path = '', rank, size] = place.split(',');
  const group = joinSharedGroup({ path, rank: Number(rank), size: Number(size) });
  const only = () => Promise.reject(new Error('only tensors are exchanged here'));
  const collective: Collective = { rank: group.rank, size: group.size, sum: only, broadcast: only, barrier: only };
  return new Replica(collective, { syncBatchNorm: true, group });
}

function onnxStep({ bytes, batch: whole, input }: Loaded): () => Promise<void> {
  const model = readOnnx(bytes);
  const network = lowerOrThrow(model);
  const optimizer = makeOptimizer('sgd', { momentum: MOMENTUM, nesterov: false, weightDecay: 0 }, network.parameters);
  const terms = [supervisedTerm(findHead(model, 'logits'), 'cross-entropy')];
  const step = (replica ? replicaStep(replica) : wholeStep)({
    network,
    terms,
    optimizer,
    constraints: [],
    observers: [],
  });
  const batch = whole / (replica?.collective.size ?? 1);
  const { images, labels } = samples(batch, input);
  let count = 0;
  return async () => {
    const inputs = new Map([
      ['x', { dtype: 'float32' as const, shape: [batch, ...input], data: images[count % images.length]! }],
    ]);
    const target = { dtype: 'int32' as const, shape: [batch], data: labels };
    await step.run({ size: batch, inputs, target }, { step: count++, learningRate: LEARNING_RATE, seed: 1 });
  };
}

function handStep(bench: BenchNetwork): () => Promise<void> {
  const { weights, statistics, logits } = bench.byHand();
  const velocities = weights.map((weight) => tf.variable(tf.zerosLike(weight), false));
  const step = ([x, classes, rate]: TfTensor[]): TfTensor[] => {
    const targets = tf.cast(tf.oneHot(classes as ReturnType<typeof tf.tensor1d>, 10), 'float32');
    const { value, grads } = tf.variableGrads(() => tf.mean(nn.softmaxCrossEntropy(logits(x!), targets)), [...weights]);
    weights.forEach((weight, i) => {
      const input = { weight, velocity: velocities[i]!, gradient: grads[weight.name]!, rate: rate! };
      const next = momentumUpdate(input, { momentum: MOMENTUM, nesterov: false, decay: 0 });
      velocities[i]!.assign(next.velocity);
      weight.assign(next.weight);
    });
    return [value];
  };
  const { images, labels } = samples(BATCH_SIZE, bench.image);
  let count = 0;
  const inputsOf = (image: Float32Array) => [
    tf.tensor(image, [BATCH_SIZE, ...bench.image]),
    tf.tensor1d(labels, 'int32'),
    tf.scalar(LEARNING_RATE),
  ];
  const compiled = compileStep({
    inputs: inputsOf(images[0]!),
    variables: [...weights, ...velocities, ...statistics],
    step,
  });
  return () => {
    const inputs = inputsOf(images[count++ % images.length]!);
    const [loss] = compiled.run(inputs);
    loss!.dataSync();
    tf.dispose([loss!, ...inputs]);
    return Promise.resolve();
  };
}

/** A few batches of noise, so that no training step finds its batch in the cache. */
function samples(batch: number, sample: readonly number[]): { images: Float32Array[]; labels: Int32Array } {
  const size = batch * sample.reduce((a, b) => a * b, 1);
  let state = 1;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const images = Array.from({ length: 8 }, () => Float32Array.from({ length: size }, () => 2 * next() - 1));
  return { images, labels: Int32Array.from({ length: batch }, () => Math.floor(10 * next())) };
}
