/** Training steps (batch 128, SGD with momentum): ONNX-loaded networks in Lathe, by hand, in Keras 3 and in PyTorch, in turns */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { BATCH_SIZE } from './contenders/protocol.ts';
import type { Answer, Request } from './contenders/protocol.ts';
import { saveResult } from './result.ts';

const NETWORKS = ['lenet-300-100', 'lenet-5', 'resnet-20'] as const;
const ROUNDS = 5;
const SECONDS_A_TURN = 3;
/** Least images/s relative to Keras. */
const GOALS = { 'lenet-300-100': 1.5, 'lenet-5': 1.2, 'resnet-20': 1.3 } as const;

interface Contender {
  readonly name: string;
  readonly version: string;
  ask(request: Request): Promise<Answer>;
  stop(): void;
}

export async function run(): Promise<void> {
  const contenders = await startAll();
  const rows = [];
  for (const network of NETWORKS) {
    const medians = await inTurns(contenders, network);
    rows.push({ network, msPerStep: medians, imagesPerSecond: mapValues(medians, (ms) => Math.round((BATCH_SIZE * 1000) / ms)), ...ratios(network, medians) });
    print(rows.at(-1)!);
  }
  for (const contender of contenders) contender.stop();
  const versions = Object.fromEntries(contenders.map(({ name, version }) => [name, version]));
  console.log(`\n${saveResult('training-step', { batchSize: BATCH_SIZE, rounds: ROUNDS, secondsATurn: SECONDS_A_TURN, versions, rows })}`);
}

async function startAll(): Promise<Contender[]> {
  const python = await peersPython();
  const script = (name: string) => join(projectRoot, 'bench', 'contenders', name);
  const lathe = join(projectRoot, 'dist', 'bench', 'contenders', 'lathe.js');
  const started = await Promise.all([
    start('lathe', process.execPath, ['--enable-source-maps', lathe]),
    start('by-hand', process.execPath, ['--enable-source-maps', lathe, 'by-hand']),
    python ? start('keras', python, [script('keras_peer.py')]) : null,
    python ? start('torch', python, [script('torch_peer.py')]) : null,
  ]);
  if (!started[0] || !started[1]) throw new Error('Lathe itself does not start');
  for (const [index, name] of [[2, 'Keras'], [3, 'PyTorch']] as const) if (!started[index]) console.log(`skipped: ${name} is not installed (npm run bench -- --peers)`);
  return started.filter((contender) => contender !== null);
}

async function peersPython(): Promise<string | null> {
  if (process.env['BENCH_PYTHON']) return process.env['BENCH_PYTHON'];
  const peers = (await import(pathToFileURL(join(projectRoot, 'scripts', 'lib', 'peers.mjs')).href)) as { peersPython(): string };
  return existsSync(peers.peersPython()) ? peers.peersPython() : null;
}

/** Null where it ends before it says its version. */
async function start(name: string, command: string, args: string[]): Promise<Contender | null> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', name === 'torch' || name === 'keras' ? 'ignore' : 'inherit'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const first = await lines.next();
  if (first.done) return null;
  const { version } = JSON.parse(first.value) as { version: string };
  return { name, version, ask: (request) => ask(name, child, lines, request), stop: () => void child.kill() };
}

async function ask(name: string, child: ChildProcess, lines: AsyncIterator<string>, request: Request): Promise<Answer> {
  child.stdin!.write(`${JSON.stringify(request)}\n`);
  const answer = await lines.next();
  if (answer.done) throw new Error(`${name} ended while it trained ${request.network}`);
  return JSON.parse(answer.value) as Answer;
}

/** The median over rounds of each contender's median; the machine's moods reach all alike. */
async function inTurns(contenders: readonly Contender[], network: string): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (const { ask: warm } of contenders) await warm({ network, seconds: 0.1 });
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders) (times[contender.name] ??= []).push((await contender.ask({ network, seconds: SECONDS_A_TURN })).msPerStep);
  }
  return mapValues(times, (values) => values.sort((a, b) => a - b)[values.length >> 1]!);
}

function ratios(network: keyof typeof GOALS, ms: Record<string, number>) {
  const ratio = (name: string) => (ms[name] ? ms[name] / ms['lathe']! : null);
  return { versusKeras: ratio('keras'), goal: GOALS[network], versusTorch: ratio('torch'), versusByHand: ratio('by-hand') };
}

function print(row: { network: string; msPerStep: Record<string, number>; versusKeras: number | null; goal: number; versusTorch: number | null; versusByHand: number | null }): void {
  const times = Object.entries(row.msPerStep).map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`).join('   ');
  const factor = (value: number | null) => (value === null ? '-' : `${value.toFixed(2)}x`);
  console.log(`${row.network.padEnd(15)}${times}   speed relative to Keras ${factor(row.versusKeras)} (goal ${row.goal}x), PyTorch ${factor(row.versusTorch)}, by hand ${factor(row.versusByHand)}`);
}

function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

await run();
