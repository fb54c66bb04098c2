/** Asynchronous training of a perceptron on MNIST on a virtual clock: what bench/async.ts and gradient-compression.ts share. */
import { batchSource } from '../src/compression/data/batches.ts';
import type { Batch } from '../src/compression/data/dataset.ts';
import { readOnnx } from '../src/compression/formats/onnx/read.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import type { Model } from '../src/compression/ir/types.ts';
import { measureModels } from '../src/compression/measure/measure.ts';
import { Coordinator, type CoordinatorSettings } from '../src/compression/parallel/async/coordinator.ts';
import { assignValues, gradientEngine, readValues } from '../src/compression/training/asynchronous/engine-gradients.ts';
import {
  decodeDense,
  decodeSparse,
  encodeDense,
  encodeSparse,
} from '../src/compression/parallel/async/gradient-encoding.ts';
import { takeLocalSteps } from '../src/compression/parallel/async/local-steps.ts';
import { delayedNesterov } from '../src/compression/parallel/async/outer-optimizer.ts';
import { ParameterServer, type StalenessSettings } from '../src/compression/parallel/async/parameter-server.ts';
import { hostStore } from '../src/compression/parallel/async/parameter-store.ts';
import { simulate, type SimulatedWorker } from '../src/compression/parallel/async/simulator.ts';
import { byteLengthOf, type Tensors } from '../src/compression/parallel/async/tensors.ts';
import { toDense, TopKCompressor } from '../src/compression/parallel/async/top-k.ts';
import {
  optimizerRule,
  type OptimizerSettings,
  type UpdateRule,
} from '../src/compression/parallel/async/update-rule.ts';
import type { WorkerResult } from '../src/compression/parallel/async/worker-result.ts';
import { WorkQueue } from '../src/compression/parallel/async/work-queue.ts';
import { learningRateSchedule } from '../src/compression/training/schedule.ts';
import { networkOf } from '../src/compression/training/session.ts';
import { setUpTraining } from '../src/compression/training/training-setup.ts';
import { mnist } from './mnist.ts';
import { OnnxNetwork } from './networks.ts';

const SCALE = 1 / 255;

export interface AsyncRun {
  readonly title: string;
  readonly workers: readonly SimulatedWorker[];
  readonly optimizer: OptimizerSettings;
  readonly learningRate: number;
  readonly staleness?: StalenessSettings;
  readonly coordination?: CoordinatorSettings;
  /** How gradients travel; default: whole, as float32. */
  readonly exchange?: { readonly topK?: number; readonly values: 'float32' | 'float16'; readonly momentum?: number };
}

export interface AsyncSetting {
  readonly epochs: number;
  readonly batchSize: number;
  readonly seed: number;
}

export interface AsyncRow {
  readonly run: string;
  /** % of the test set, by the file in onnxruntime. */
  readonly errorPercent: number;
  readonly virtualSeconds: number;
  readonly updates: number;
  readonly meanStaleness: number;
  readonly maxStaleness: number;
  readonly pushedMegabytes: number;
  readonly pulledMegabytes: number;
  readonly seconds: number;
  /** A loss was not finite: the run was ended. */
  readonly diverged: boolean;
}

/** Makes the data and the network once; each run starts from the same weights. */
export async function asynchronousMnist({ epochs, batchSize, seed }: AsyncSetting) {
  const dataset = mnist();
  const model = perceptron();
  const network = networkOf(model);
  const { labels } = await setUpTraining(network, contextOf(dataset, model, seed));
  if (!labels) throw new Error('MNIST has labels');
  const engine = gradientEngine(network, [labels]);
  const start = readValues(network.parameters);
  const batches = await allBatches(epochs, batchSize, seed);
  const total = batches.count * epochs;

  const run = async (options: AsyncRun): Promise<AsyncRow> => {
    const { title, workers, optimizer, learningRate, staleness, coordination, exchange } = options;
    const started = Date.now();
    const isLocal = (coordination?.localSteps ?? 1) > 1;
    const decays = new Set(network.parameters.filter((each) => each.decays).map(({ name }) => name));
    const store = hostStore(start, isLocal ? delayedNesterov(start) : optimizerRule(optimizer, start, decays));
    const coordinator = new Coordinator(new ParameterServer(store, staleness), new WorkQueue([0, total]), coordination);
    const rate = learningRateSchedule({
      learningRate,
      schedule: { kind: 'cosine' },
      stepsPerEpoch: batches.count,
      epochs,
    });
    const inner = new Map<string, UpdateRule>();
    const channel = new Channel(start, exchange);
    const gradientOf = async (at: { values: Tensors; statistics: Tensors }, number: number): Promise<WorkerResult> => {
      const result = engine.run(at, await batches.at(number), { seed, step: number });
      if (!Number.isFinite(result.losses[0])) throw new Diverged();
      return result;
    };
    let diverged = false;
    const simulated = await simulate({
      coordinator,
      workers,
      seed,
      learningRate: rate,
      compute: async ({ worker, pulled, unit }) => {
        channel.pulledBytes += byteLengthOf(pulled.values);
        if (!isLocal) return channel.send(worker, await gradientOf(pulled, unit.batches[0]!));
        const rule = inner.get(worker) ?? optimizerRule(optimizer, start, decays);
        inner.set(worker, rule);
        return channel.send(worker, await takeLocalSteps(pulled, unit, { rule, learningRate: rate, gradientOf }));
      },
    }).catch((error: unknown) => {
      if (!(error instanceof Diverged)) throw error;
      diverged = true;
      return { seconds: NaN, updates: NaN };
    });
    assignValues(network.parameters, store.values());
    const { mean, max } = coordinator.staleness();
    const row: AsyncRow = {
      run: title,
      errorPercent: diverged ? 90 : await errorOf(writeOnnx(await network.toModel())),
      virtualSeconds: simulated.seconds,
      updates: simulated.updates,
      meanStaleness: mean,
      maxStaleness: max,
      pushedMegabytes: channel.pushedBytes / 1e6,
      pulledMegabytes: channel.pulledBytes / 1e6,
      seconds: (Date.now() - started) / 1000,
      diverged,
    };
    print(row);
    return row;
  };

  const errorOf = async (bytes: Uint8Array): Promise<number> => {
    const [measures] = await measureModels({
      original: bytes,
      candidates: [],
      dataset,
      transform: { scale: SCALE },
      seed,
    });
    return 100 * (1 - (measures?.accuracy?.top1 ?? NaN));
  };
  return { run };
}

/** 784-100-10: small, so that a run of many epochs takes a minute; where delays matter, size does not. */
function perceptron(): Model {
  const network = new OnnxNetwork();
  const flat = network.graph.op('Flatten', [network.graph.input('x', 'float32', ['n', 1, 28, 28])], { axis: 1 });
  return readOnnx(
    network.finish(network.dense(network.relu(network.dense(flat, 784, 100)), 100, 10), 'perceptron-100'),
  );
}

class Diverged extends Error {}

/** The way of gradients to the server, with the bytes that they take. */
class Channel {
  pushedBytes = 0;
  pulledBytes = 0;
  readonly #compressors = new Map<string, TopKCompressor>();
  readonly #like: Tensors;
  readonly #exchange: NonNullable<AsyncRun['exchange']>;

  constructor(like: Tensors, exchange: AsyncRun['exchange']) {
    this.#like = like;
    this.#exchange = exchange ?? { values: 'float32' };
  }

  send(worker: string, result: WorkerResult): WorkerResult {
    const gradient = this.#travel(worker, result.contribution.gradient);
    return { ...result, contribution: { ...result.contribution, gradient } };
  }

  #travel(worker: string, gradient: Tensors): Tensors {
    const { topK, values, momentum = 0 } = this.#exchange;
    if (topK === undefined) {
      const bytes = encodeDense(gradient, values);
      this.pushedBytes += bytes.length;
      return decodeDense(bytes, this.#like, values);
    }
    const compressor = this.#compressors.get(worker) ?? new TopKCompressor(this.#like, { topK, momentum });
    this.#compressors.set(worker, compressor);
    const bytes = encodeSparse(compressor.compress(gradient), values);
    this.pushedBytes += bytes.length;
    return toDense(decodeSparse(bytes, this.#like, values));
  }
}

/** Batches by their number in the training: shuffled anew each epoch. */
async function allBatches(epochs: number, batchSize: number, seed: number) {
  const split = mnist().split('train');
  const source = batchSource(split, {
    batchSize,
    shuffle: true,
    fullBatchesOnly: true,
    seed,
    transform: { scale: SCALE },
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 1, 28, 28] }],
    numWorkers: 0,
  });
  const held = new Map<number, Batch[]>();
  const epochOf = async (epoch: number): Promise<Batch[]> => {
    const found = held.get(epoch);
    if (found) return found;
    const loaded: Batch[] = [];
    for await (const batch of source.epoch(epoch)) loaded.push(batch);
    held.set(epoch, loaded);
    if (held.size > 2) held.delete(Math.min(...held.keys()));
    return loaded;
  };
  if (epochs < 1) throw new RangeError('at least one epoch');
  const count = source.batchesPerEpoch;
  return { count, at: async (number: number) => (await epochOf(Math.floor(number / count)))[number % count]! };
}

function contextOf(dataset: ReturnType<typeof mnist>, original: ReturnType<typeof readOnnx>, seed: number) {
  return {
    seed,
    dataset,
    transform: { scale: SCALE },
    training: {},
    loader: { numWorkers: 0 },
    original,
    loadModel: () => Promise.reject(new Error('there is no other model')),
    checkpoints: { save: () => Promise.resolve(), load: () => Promise.resolve(null) },
    signal: new AbortController().signal,
    report: () => undefined,
    record: () => undefined,
    warn: () => undefined,
  };
}

function print(row: AsyncRow): void {
  console.log(
    `${row.run.padEnd(46)}error ${row.diverged ? 'diverged' : `${row.errorPercent.toFixed(2)} %`}   ` +
      `virtual ${row.virtualSeconds.toFixed(0)} s   staleness ${row.meanStaleness.toFixed(1)} (max ${row.maxStaleness})   ` +
      `pushed ${row.pushedMegabytes.toFixed(1)} MB   ${row.seconds.toFixed(0)} s`,
  );
}
