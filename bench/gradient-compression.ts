/** Gradients of four synchronous workers whole, as float16, and the largest 1 % with and without momentum correction (--epochs N) */
import { parseArgs } from 'node:util';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { asynchronousMnist, type AsyncRow, type AsyncRun } from './asynchronous-mnist.ts';
import { saveResult } from './result.ts';

const { values: options } = parseArgs({ options: { epochs: { type: 'string', default: '5' } } });
const setting = { epochs: Number(options.epochs), batchSize: 32, seed: 1 };
const momentum = 0.9;
const workers = Array.from({ length: 4 }, (_, i) => ({ name: `worker ${i}`, secondsPerBatch: () => 1 }));
const shared = { workers, learningRate: 0.05, staleness: { max: 0 } };
const withMomentum = { ...shared, optimizer: { optimizer: 'sgd', momentum } } as const;
/** The workers take the momentum. */
const without = { ...shared, optimizer: { optimizer: 'sgd', momentum: 0 } } as const;

const runs: AsyncRun[] = [
  { title: 'float32', ...withMomentum },
  { title: 'float16', ...withMomentum, exchange: { values: 'float16' } },
  { title: 'top 1 %, momentum corrected', ...without, exchange: { topK: 0.01, values: 'float32', momentum } },
  {
    title: 'top 1 % as float16, momentum corrected',
    ...without,
    exchange: { topK: 0.01, values: 'float16', momentum },
  },
  { title: 'top 0.1 %, momentum corrected', ...without, exchange: { topK: 0.001, values: 'float32', momentum } },
  { title: 'top 0.1 %, momentum by the server', ...withMomentum, exchange: { topK: 0.001, values: 'float32' } },
];

await startEngine('auto', { threads: 1 });
const { run } = await asynchronousMnist(setting);
const rows: (AsyncRow & { shareOfBytes: number })[] = [];
for (const each of runs) {
  const row = await run(each);
  const shareOfBytes = row.pushedMegabytes / (rows[0]?.pushedMegabytes ?? row.pushedMegabytes);
  rows.push({ ...row, shareOfBytes });
  console.log(`  ${(100 * shareOfBytes).toFixed(2)} % of the bytes`);
  saveResult('gradient-compression', { network: 'perceptron 784-100-10', setting, rows });
}
