/**
 * Asynchronous training on a virtual clock, MNIST: a straggler, 30 workers (Zhang's table), DiLoCo (--epochs N, --part
 * straggler|zhang|diloco)
 */
import { parseArgs } from 'node:util';
import type { SimulatedWorker } from '../src/compression/parallel/async/simulator.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { asynchronousMnist, type AsyncRow, type AsyncRun } from './asynchronous-mnist.ts';
import { saveResult } from './result.ts';

const { values: options } = parseArgs({
  options: { epochs: { type: 'string', default: '5' }, part: { type: 'string', default: '' } },
});
const setting = { epochs: Number(options.epochs), batchSize: 32, seed: 1 };
const SGD = { optimizer: 'sgd', momentum: 0.9 } as const;

/** A second for a batch on average: half of it fixed, the rest exponential. */
const workers = (count: number, slowdown: (worker: number) => number = () => 1): SimulatedWorker[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `worker ${i}`,
    secondsPerBatch: (random) => slowdown(i) * (0.5 - 0.5 * Math.log(1 - random())),
  }));

await startEngine('auto', { threads: 1 });
const { run } = await asynchronousMnist(setting);
const parts: Record<string, () => Promise<AsyncRow[]>> = { straggler, zhang, diloco };
const results: Record<string, AsyncRow[]> = {};
for (const [name, part] of Object.entries(parts)) {
  if (options.part && options.part !== name) continue;
  console.log(`\n${name}`);
  results[name] = await part();
  saveResult('async', { network: 'perceptron 784-100-10', setting, parts: results });
}

/** Four workers, one five times slower than the others. */
async function straggler(): Promise<AsyncRow[]> {
  const shared = { workers: workers(4, (i) => (i === 3 ? 5 : 1)), optimizer: SGD, learningRate: 0.02 };
  const rows = await runAll([
    { title: 'synchronous', ...shared, staleness: { max: 0 } },
    { title: 'asynchronous, over staleness', ...shared, staleness: { scaleLearningRate: true } },
    { title: 'asynchronous, staleness at most 16', ...shared, staleness: { scaleLearningRate: true, max: 16 } },
  ]);
  const [sync, ...others] = rows;
  for (const { run: title, virtualSeconds } of others)
    console.log(
      `  ${title}: ${((sync?.virtualSeconds ?? NaN) / virtualSeconds).toFixed(2)}x the throughput of synchronous`,
    );
  return rows;
}

/** As in Zhang et al. 2016, table: 30 workers, the same rate for all but where it is divided by the staleness. */
async function zhang(): Promise<AsyncRow[]> {
  const shared = { workers: workers(30), optimizer: SGD, learningRate: 0.1 };
  return runAll([
    { title: 'synchronous', ...shared, staleness: { max: 0 } },
    { title: 'asynchronous, plain rate', ...shared },
    { title: 'asynchronous, rate over staleness', ...shared, staleness: { scaleLearningRate: true } },
    { title: 'DC-ASGD, plain rate', ...shared, staleness: { compensate: true } },
    {
      title: 'DC-ASGD, rate over staleness',
      ...shared,
      staleness: { scaleLearningRate: true, compensate: true },
    },
    { title: 'staleness at most 4, plain rate', ...shared, staleness: { max: 4 } },
    { title: 'staleness at most 4, over staleness', ...shared, staleness: { max: 4, scaleLearningRate: true } },
  ]);
}

/** Four workers that exchange after 100 or 200 batches of their own, against gradients after every batch. */
async function diloco(): Promise<AsyncRow[]> {
  const shared = { workers: workers(4), optimizer: { optimizer: 'adamw' } as const, learningRate: 0.001 };
  const uneven = workers(4, (i) => (i === 3 ? 5 : 1));
  const rows = await runAll([
    { title: 'synchronous gradients', ...shared, staleness: { max: 0 } },
    { title: 'DiLoCo, 100 local steps', ...shared, staleness: { max: 0 }, coordination: { localSteps: 100 } },
    { title: 'DiLoCo, 200 local steps', ...shared, staleness: { max: 0 }, coordination: { localSteps: 200 } },
    { title: 'asynchronous, 100 local steps', ...shared, coordination: { localSteps: 100 } },
    { title: 'asynchronous, 100, one 5x slower', ...shared, workers: uneven, coordination: { localSteps: 100 } },
    {
      title: 'asynchronous, 100 adapted, one 5x slower',
      ...shared,
      workers: uneven,
      coordination: { localSteps: 100, adaptsLocalSteps: true },
    },
  ]);
  const [whole, ...others] = rows;
  for (const { run: title, pushedMegabytes, pulledMegabytes } of others) {
    const bytes = (row: Pick<AsyncRow, 'pushedMegabytes' | 'pulledMegabytes'>) =>
      row.pushedMegabytes + row.pulledMegabytes;
    console.log(`  ${title}: ${(bytes(whole!) / bytes({ pushedMegabytes, pulledMegabytes })).toFixed(0)}x fewer bytes`);
  }
  return rows;
}

async function runAll(runs: readonly AsyncRun[]): Promise<AsyncRow[]> {
  const rows: AsyncRow[] = [];
  for (const each of runs) rows.push(await run(each));
  return rows;
}
