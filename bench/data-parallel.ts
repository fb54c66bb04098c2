/**
 * Two one-thread replicas against one process of one and of two threads (all networks, or those named); PyTorch's
 * DistributedDataParallel (gloo) beside them, if it is installed
 */
import { randomUUID } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { chosenOf, resultName } from './chosen.ts';
import type { Answer, Request } from './contenders/protocol.ts';
import { saveResult } from './result.ts';
import { peersPython, ROUNDS, SECONDS_A_TURN, start, type Contender } from './turns.ts';

const NETWORKS = [{ name: 'resnet-20' }, { name: 'lenet-5' }, { name: 'transformer' }] as const;
const REPLICAS = 2;

interface Framework {
  readonly name: string;
  readonly one: Contender;
  readonly wide: Contender;
  /** Ranks 0 to REPLICAS - 1. */
  readonly replicas: readonly Contender[];
}

interface Times {
  readonly one: number;
  readonly wide: number;
  readonly replicas: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

async function run(): Promise<void> {
  const networks = chosenOf(NETWORKS);
  const names = networks.map(({ name }) => name);
  const frameworks = [await lathe(), await torch()].filter((framework) => framework !== null);
  const rows = [];
  for (const network of names) {
    const times = await inTurns(frameworks, network);
    rows.push({ network, ...Object.fromEntries([...times].map(([name, ms]) => [name, { ...ms, ...ratios(ms) }])) });
    for (const [name, ms] of times) print(network, name, ms);
    console.log(saveResult(resultName('data-parallel', names, NETWORKS.length), { replicas: REPLICAS, rows }));
  }
  for (const { one, wide, replicas } of frameworks) for (const contender of [one, wide, ...replicas]) contender.stop();
}

/** Median ms a step. */
async function inTurns(frameworks: readonly Framework[], network: string): Promise<ReadonlyMap<string, Times>> {
  const rounds = new Map(frameworks.map(({ name }) => [name, [] as Times[]]));
  for (const framework of frameworks) await turn(framework, network, 0.1);
  for (let round = 0; round < ROUNDS; round++)
    for (const framework of frameworks)
      rounds.get(framework.name)?.push(await turn(framework, network, SECONDS_A_TURN));
  const medianOf = (all: readonly Times[], key: keyof Times) => median(all.map((times) => times[key]));
  return new Map(
    [...rounds].map(([name, all]) => [
      name,
      { one: medianOf(all, 'one'), wide: medianOf(all, 'wide'), replicas: medianOf(all, 'replicas') },
    ]),
  );
}

async function turn({ one, wide, replicas }: Framework, network: string, seconds: number): Promise<Times> {
  const single = await one.ask({ network, seconds });
  const { msPerStep } = await wide.ask({ network, seconds });
  // Who trains together takes as many steps: about as long as the others.
  const steps = Math.max(5, Math.round((1000 * seconds) / single.msPerStep));
  return {
    one: single.msPerStep,
    wide: msPerStep,
    replicas: (await together(replicas, { network, seconds, steps })).msPerStep,
  };
}

async function together(replicas: readonly Contender[], request: Request): Promise<Answer> {
  const answers = await Promise.all(replicas.map((replica) => replica.ask(request)));
  return { steps: request.steps ?? 0, msPerStep: Math.max(...answers.map(({ msPerStep }) => msPerStep)) };
}

async function lathe(): Promise<Framework> {
  const script = join(projectRoot, 'dist', 'bench', 'contenders', 'lathe.js');
  const path = `/dev/shm/lathe-data-parallel-${randomUUID()}`;
  const launch = (env: Record<string, string>) =>
    start('lathe', process.execPath, ['--enable-source-maps', script], { LATHE_ENGINE: 'tensorflow', ...env });
  const framework = await startAll('lathe', launch, (rank) => ({ BENCH_REPLICA: [path, rank, REPLICAS].join() }));
  if (!framework) throw new Error('Lathe itself does not start');
  return framework;
}

async function torch(): Promise<Framework | null> {
  const python = await peersPython();
  const script = join(projectRoot, 'bench', 'contenders', 'torch_peer.py');
  const port = await freePort();
  const framework =
    python &&
    (await startAll(
      'torch',
      (env) => start('torch', python, [script], env),
      (rank) => ({ BENCH_DDP: [rank, REPLICAS, port].join() }),
    ));
  if (!framework) console.log('skipped: PyTorch is not installed (npm run bench -- --peers)');
  return framework || null;
}

async function startAll(
  name: string,
  launch: (env: Record<string, string>) => Promise<Contender | null>,
  place: (rank: number) => Record<string, string>,
): Promise<Framework | null> {
  const ranks = Array.from({ length: REPLICAS }, (_, rank) => launch({ BENCH_THREADS: '1', ...place(rank) }));
  const [one, wide, ...replicas] = await Promise.all([
    launch({ BENCH_THREADS: '1' }),
    launch({ BENCH_THREADS: '2' }),
    ...ranks,
  ]);
  const started = replicas.filter((replica) => replica !== null);
  return one && wide && started.length === REPLICAS ? { name, one, wide, replicas: started } : null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const ratios = ({ one, wide, replicas }: Times) => ({ speedup: one / replicas, versusWide: wide / replicas });

function print(network: string, name: string, ms: Times): void {
  const { speedup, versusWide } = ratios(ms);
  console.log(
    `${network.padEnd(13)}${name.padEnd(6)} one thread ${ms.one.toFixed(2)} ms   two threads ${ms.wide.toFixed(2)} ms   ` +
      `two replicas ${ms.replicas.toFixed(2)} ms   ${speedup.toFixed(2)}x one thread (goal 1.8x), ` +
      `${versusWide.toFixed(2)}x two threads (goal 1x)`,
  );
}

await run();
