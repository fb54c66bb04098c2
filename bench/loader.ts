/**
 * Images/s of the data loader: JPEGs made on the spot, flipped and cropped at random, with 0, 2, all and the measured
 * number of workers; PyTorch's DataLoader beside it. Options: --images 20000 --width 320 --height 240 --size 128
 * --epochs 3
 */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import yazl from 'yazl';
import { batchSource } from '../src/compression/data/batches.ts';
import { openDataset } from '../src/compression/data/open.ts';
import { seededRandom } from '../src/compression/data/random.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { instructionSet } from './instruction-set.ts';
import { saveResult } from './result.ts';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '20000' },
    width: { type: 'string', default: '320' },
    height: { type: 'string', default: '240' },
    size: { type: 'string', default: '128' },
    epochs: { type: 'string', default: '3' },
  },
});
const number = (name: keyof typeof values): number => Number(values[name]);
const [images, width, height, size, epochs] = (['images', 'width', 'height', 'size', 'epochs'] as const).map(
  number,
) as [number, number, number, number, number];
const BATCH_SIZE = 64;
const CLASSES = 10;
/** Times that of PyTorch, at equal workers. */
const GOAL = 1.3;
/** Of auto, as a share of the best. */
const AUTO_GOAL = 0.95;

type Workers = number | 'auto' | 'cores';
interface Row {
  readonly loader: 'lathe' | 'torch';
  readonly numWorkers: Workers;
  /** Of each epoch: Lathe's first one decodes, later ones read what it kept. */
  readonly imagesPerSecond: readonly number[];
  readonly chosen?: number;
}

/** Smooth colours with noise, so that files have the size of photographs. All in train/, named by class. */
async function writeImages(path: string): Promise<void> {
  const zip = new yazl.ZipFile();
  const written = pipeline(zip.outputStream, createWriteStream(path));
  for (let i = 0; i < images; i++) {
    const random = seededRandom(1, i);
    const [a, b, c] = [random() * 6, random() * 6, random() * 255];
    const pixels = Buffer.allocUnsafe(width * height * 3);
    for (let at = 0; at < pixels.length; at++) {
      const [x, y] = [Math.floor(at / 3) % width, Math.floor(at / (3 * width))];
      pixels[at] =
        128 + 60 * Math.sin((a * x) / width + (at % 3)) + 50 * Math.cos((b * y) / height) + ((at * 7919 + c) % 24) - 12;
    }
    const jpeg = await sharp(pixels, { raw: { width, height, channels: 3 } })
      .jpeg({ quality: 85 })
      .toBuffer();
    zip.addBuffer(jpeg, `train/${i % CLASSES}/${i}.jpg`, { compress: false });
  }
  zip.end();
  await written;
}

async function lathe(path: string, numWorkers: Workers): Promise<Row> {
  const dataset = await openDataset(path, {});
  const split = dataset.split('train');
  const source = batchSource(split, {
    batchSize: BATCH_SIZE,
    shuffle: true,
    seed: 1,
    transform: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 3, size, size] }],
    augment: [{ kind: 'flip' }, { kind: 'crop', padding: Math.floor(size / 8) }],
    numWorkers,
  });
  const imagesPerSecond: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const start = performance.now();
    for await (const batch of source.epoch(epoch)) {
      batch.release?.();
      await new Promise((resolve) => setImmediate(resolve)); // as training does between two batches
    }
    imagesPerSecond.push((1000 * source.samples) / (performance.now() - start));
  }
  const { numWorkers: chosen } = source.figures();
  await source.close();
  await dataset.close();
  return { loader: 'lathe', numWorkers, imagesPerSecond, chosen };
}

/** Null where it is not installed. */
async function torch(): Promise<{ version: string; run(path: string, numWorkers: Workers): Promise<Row> } | null> {
  const peers = (await import(pathToFileURL(join(projectRoot, 'scripts', 'lib', 'peers.mjs')).href)) as {
    peersPython(): string;
  };
  const python = process.env['BENCH_PYTHON'] ?? peers.peersPython();
  const child = spawn(python, [join(projectRoot, 'bench', 'contenders', 'torch_loader.py')], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const failed = new Promise<null>((resolve) => child.once('error', () => resolve(null)));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const first = await Promise.race([lines.next(), failed]);
  if (first === null || first.done) return null;
  const { version } = JSON.parse(first.value) as { version: string };
  const run = async (path: string, numWorkers: Workers): Promise<Row> => {
    child.stdin.write(`${JSON.stringify({ path, size, batchSize: BATCH_SIZE, numWorkers, epochs })}\n`);
    const answer = await lines.next();
    if (answer.done) throw new Error('PyTorch ended');
    return { loader: 'torch', numWorkers, ...(JSON.parse(answer.value) as Pick<Row, 'imagesPerSecond'>) };
  };
  process.once('exit', () => child.kill());
  return { version, run };
}

const rate = (row: Row | undefined, epoch: number): number => row?.imagesPerSecond.at(epoch) ?? NaN;

function print(row: Row): void {
  const rates = row.imagesPerSecond.map((value) => value.toFixed(0).padStart(7)).join('');
  const chosen = row.numWorkers === 'auto' ? ` (chose ${row.chosen})` : '';
  console.log(
    `${row.loader.padEnd(8)}numWorkers ${String(row.numWorkers).padEnd(7)}images/s by epoch:${rates}${chosen}`,
  );
}

async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-bench-loader-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'images.zip');
  await writeImages(path);
  const peer = await torch();
  if (!peer) console.log('skipped: PyTorch with torchvision is not installed (npm run bench -- --peers)');
  const rows: Row[] = [];
  const add = (row: Row) => {
    rows.push(row);
    print(row);
  };
  const cores = availableParallelism();
  for (const count of [...new Set([0, 2, cores])]) {
    add(await lathe(path, count));
    if (peer) add(await peer.run(path, count));
  }
  add(await lathe(path, 'auto'));
  summarize(rows);
  const setting = { images, width, height, size, batchSize: BATCH_SIZE, epochs, cores, peer: peer?.version ?? null };
  console.log(`\n${saveResult(`loader-${instructionSet()}`, { ...setting, rows })}`);
  process.exit(0);
}

function summarize(rows: readonly Row[]): void {
  const of = (loader: Row['loader']) => rows.filter((row) => row.loader === loader);
  for (const row of of('lathe')) {
    const other = of('torch').find(({ numWorkers }) => numWorkers === row.numWorkers);
    if (!other) continue;
    const [first, last] = [0, -1].map((epoch) => (rate(row, epoch) / rate(other, epoch)).toFixed(2));
    console.log(
      `numWorkers ${row.numWorkers}: ${first}x PyTorch in the first epoch, ${last}x in the last (goal ${GOAL}x)`,
    );
  }
  const fixed = of('lathe').filter(({ numWorkers }) => numWorkers !== 'auto');
  const auto = of('lathe').find(({ numWorkers }) => numWorkers === 'auto');
  const share = rate(auto, -1) / Math.max(...fixed.map((row) => rate(row, -1)));
  console.log(`auto: ${(100 * share).toFixed(0)} % of the best in the last epoch (goal ${100 * AUTO_GOAL} %)`);
}

await run();
