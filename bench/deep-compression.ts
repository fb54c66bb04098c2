/**
 * Pruning and weight sharing on MNIST, against the figures of Deep Compression (Han et al. 2016, arXiv 1510.00149,
 * table 1): size of the file, gzipped, and error
 */
import type { Step } from '../src/contracts/job-request.ts';
import type { Measures } from '../src/contracts/report.ts';
import { readOnnx } from '../src/compression/formats/onnx/read.ts';
import { describeModel } from '../src/compression/graph/describe.ts';
import { runRecipe } from '../src/compression/recipe/run.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { mnist } from './mnist.ts';
import { NETWORKS, type NetworkName } from './networks.ts';
import { saveResult } from './result.ts';

interface Plan {
  readonly name: NetworkName;
  readonly epochs: { readonly dense: number; readonly prune: number; readonly cluster: number };
  /** Of the paper: kilobytes and test error in percent, before and after. */
  readonly published: string;
}

const PLANS: readonly Plan[] = [
  {
    name: 'lenet-300-100',
    epochs: { dense: 15, prune: 20, cluster: 2 },
    published: '1070 KB, 1.64 % -> 27 KB (40x), 1.58 %',
  },
  { name: 'lenet-5', epochs: { dense: 6, prune: 8, cluster: 1 }, published: '1720 KB, 0.80 % -> 44 KB (39x), 0.74 %' },
];
/** The sparsity to which the paper prunes both networks. */
const SPARSITY = 1 - 1 / 12;
const OF_PRUNED = [{ bits: 6 }, { bits: 5 }, { bits: 4 }, { bits: 2 }] as const;

const DATA = mnist();

interface Row {
  readonly steps: string;
  readonly after: Measures;
  /** Latency of one inference relative to the recipe's original file, measured by turns in one run. */
  readonly relativeLatency: number;
}

interface Compressed {
  readonly files: readonly Uint8Array[];
  readonly rows: readonly Omit<Row, 'steps'>[];
}

/** The steps after those whose file is given; without a file, all steps from the untrained network. */
async function compress(file: Uint8Array, steps: readonly Step[]): Promise<Compressed> {
  const description = describeModel(readOnnx(file), 'onnx');
  const { report, files } = await runRecipe({
    modelBytes: file,
    request: {
      model: 'bench',
      dataset: 'mnist',
      seed: 1,
      transform: { scale: 1 / 255 },
      training: { batchSize: 128 },
      steps: [...steps],
    },
    model: description,
    dataset: DATA,
    loadModelBytes: async () => {
      throw new Error('there is no other model');
    },
    checkpoints: () => ({ save: async () => undefined, load: async () => null }),
    signal: new AbortController().signal,
    report: () => undefined,
    threads: 2,
  });
  return {
    files: files.slice(0, steps.length).map(({ bytes }) => bytes),
    rows: report.steps.map(({ after }) => ({
      after,
      relativeLatency: after.latencyMs!.median / report.before.latencyMs!.median,
    })),
  };
}

async function benchmark({ name, epochs }: Plan): Promise<Row[]> {
  const network = NETWORKS.find((candidate) => candidate.name === name)!;
  const prune = { technique: 'prune-weights', sparsity: SPARSITY, schedule: 'gradual', epochs: epochs.prune } as Step;
  const cluster = (more: object) => ({ technique: 'cluster', epochs: epochs.cluster, ...more }) as Step;
  const trained = await compress(network.onnx(), [{ technique: 'retrain', epochs: epochs.dense }, prune]);
  const [dense, pruned] = trained.files as [Uint8Array, Uint8Array];
  const rows: Row[] = [];
  const add = (steps: string, row: Omit<Row, 'steps'>): void => {
    rows.push({ steps, ...row });
    print(rows.at(-1)!, rows[0]!);
  };
  add('trained', trained.rows[0]!);
  add('pruned', trained.rows[1]!);
  for (const [from, file, settings] of [
    ['trained', dense, { bits: 4 }],
    ...OF_PRUNED.map((each) => ['pruned', pruned, each] as const),
  ] as const) {
    add(`${from}, ${settings.bits} bits`, (await compress(file, [cluster(settings)])).rows[0]!);
  }
  return rows;
}

const TITLES = ['bytes', '', 'gzipped', '', 'error', 'time'];
const HEAD = `${' '.repeat(30)}${TITLES.map((title) => title.padStart(10)).join('')}`;

function print({ steps, after, relativeLatency }: Row, { after: dense }: Row): void {
  const factor = (bytes: number) => `${(dense.sizeBytes / bytes).toFixed(1)}x`;
  const cells = [
    String(after.sizeBytes),
    factor(after.sizeBytes),
    String(after.gzipBytes),
    factor(after.gzipBytes),
    `${(100 * (1 - after.accuracy!.top1!)).toFixed(2)} %`,
    `${(100 * relativeLatency).toFixed(0)} %`,
  ];
  console.log(steps.padEnd(30) + cells.map((cell) => cell.padStart(10)).join(''));
}

await startEngine('auto');
const wanted = process.argv.slice(2);
const results: object[] = [];
for (const plan of PLANS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  console.log(`\n${plan.name}; published: ${plan.published}\n${HEAD}`);
  results.push({ network: plan.name, published: plan.published, epochs: plan.epochs, rows: await benchmark(plan) });
}
console.log(`\n${saveResult('deep-compression', { sparsity: SPARSITY, results })}`);
