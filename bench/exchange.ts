/**
 * Sums between processes of this machine through shared memory: ms for each size, best and median.
 * `-- [--ranks 2] [--capacity KiB,KiB] [--rounds 60]`
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { joinSharedGroup } from '../src/compression/tensor/shared-group.ts';
import { tf } from '../src/compression/tensor/tf.ts';
import { saveResult } from './result.ts';

const KIB = 1024;
const SIZES_KIB = [1, 16, 64, 256, 1024, 4096, 16_384];
const WARM_UP_ROUNDS = 5;

interface Row {
  readonly kib: number;
  readonly capacityKib: number;
  readonly bestMs: number;
  readonly medianMs: number;
}

interface Settings {
  readonly path: string;
  readonly ranks: number;
  readonly rank: number;
  readonly capacitiesKib: readonly number[];
  readonly rounds: number;
}

const { values } = parseArgs({
  options: {
    ranks: { type: 'string', default: '2' },
    capacity: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '60' },
    rank: { type: 'string' },
    path: { type: 'string', default: `/dev/shm/lathe-exchange-${randomUUID()}` },
  },
});
const settings: Settings = {
  path: values.path,
  ranks: Number(values.ranks),
  rank: Number(values.rank ?? 0),
  capacitiesKib: values.capacity.split(',').map(Number),
  rounds: Number(values.rounds),
};

if (values.rank === undefined)
  for (let rank = 1; rank < settings.ranks; rank++)
    fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), '--path', settings.path, '--rank', String(rank)]);
await startEngine('tensorflow', { threads: 1 });
const rows: Row[] = [];
for (const capacityKib of settings.capacitiesKib) rows.push(...(await measure(settings, capacityKib)));
if (settings.rank === 0) {
  console.table(rows);
  console.log(saveResult('exchange', { ranks: settings.ranks, rounds: settings.rounds, rows }));
}

async function measure({ path, ranks, rank, rounds }: Settings, capacityKib: number): Promise<Row[]> {
  const group = joinSharedGroup({
    path: `${path}-${capacityKib}`,
    rank,
    size: ranks,
    capacityBytes: capacityKib * KIB,
  });
  await group.barrier();
  const measured = SIZES_KIB.map((kib) => {
    const tensor = tf.ones([(kib * KIB) / Float32Array.BYTES_PER_ELEMENT]);
    const times = Array.from({ length: rounds + WARM_UP_ROUNDS }, () => {
      const start = performance.now();
      tf.dispose(group.sum([tensor]));
      return performance.now() - start;
    });
    const sorted = times.slice(WARM_UP_ROUNDS).sort((a, b) => a - b);
    tensor.dispose();
    return { kib, capacityKib, bestMs: sorted[0]!, medianMs: sorted[Math.floor(sorted.length / 2)]! };
  });
  await group.barrier();
  group.close();
  return measured;
}
