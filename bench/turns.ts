/** Contenders of a benchmark: processes that train the same network in turns. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import type { Answer, Request } from './contenders/protocol.ts';

export const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 5);
export const SECONDS_A_TURN = 3;

export interface Contender {
  readonly name: string;
  readonly version: string;
  ask(request: Request): Promise<Answer>;
  stop(): void;
}

/**
 * Lathe's own must start; peers that are not installed are named as skipped. `byHand`: the network also written by hand
 * on the engine's primitives.
 */
export async function startAll({ byHand }: { readonly byHand: boolean }): Promise<Contender[]> {
  const python = await peersPython();
  const script = (name: string) => join(projectRoot, 'bench', 'contenders', name);
  const lathe = join(projectRoot, 'dist', 'bench', 'contenders', 'lathe.js');
  const started = await Promise.all([
    start('lathe', process.execPath, ['--enable-source-maps', lathe]),
    byHand ? start('by-hand', process.execPath, ['--enable-source-maps', lathe, 'by-hand']) : null,
    python ? start('keras', python, [script('keras_peer.py')]) : null,
    python ? start('torch', python, [script('torch_peer.py')]) : null,
  ]);
  if (!started[0] || (byHand && !started[1])) throw new Error('Lathe itself does not start');
  for (const [index, name] of [
    [2, 'Keras'],
    [3, 'PyTorch'],
  ] as const)
    if (!started[index]) console.log(`skipped: ${name} is not installed (npm run bench -- --peers)`);
  return started.filter((contender) => contender !== null);
}

export async function peersPython(): Promise<string | null> {
  if (process.env['BENCH_PYTHON']) return process.env['BENCH_PYTHON'];
  const peers = (await import(pathToFileURL(join(projectRoot, 'scripts', 'lib', 'peers.mjs')).href)) as {
    peersPython(): string;
  };
  return existsSync(peers.peersPython()) ? peers.peersPython() : null;
}

/** @param env beside this process's own @returns null if it ends before it reports its version */
export async function start(
  name: string,
  command: string,
  args: string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Contender | null> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', /^(torch|keras)/.test(name) ? 'ignore' : 'inherit'],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
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

/**
 * Milliseconds a step by contender: the median over rounds of each contender's median, so that changes of the machine's
 * load affect all alike.
 */
export async function inTurns(contenders: readonly Contender[], network: string): Promise<Record<string, number>> {
  const times: Record<string, number[]> = {};
  for (const { ask: warm } of contenders) await warm({ network, seconds: 0.1 });
  for (let round = 0; round < ROUNDS; round++) {
    for (const contender of contenders)
      (times[contender.name] ??= []).push((await contender.ask({ network, seconds: SECONDS_A_TURN })).msPerStep);
  }
  return mapValues(times, (values) => values.sort((a, b) => a - b)[values.length >> 1]!);
}

export function mapValues<A, B>(record: Record<string, A>, map: (value: A) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
