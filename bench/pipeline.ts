/**
 * How busy the parts of a pipeline are: processes that run a schedule's passes, each a fixed delay, and move real
 * tensors between them.
 *
 * Delays stand for computing, so that the figure shows what schedule and transport cost on a machine that has fewer
 * cores than parts. `npm run bench -- pipeline [parts [microBatches [forwardMs [KiB]]]]`; without arguments the table.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chainOf, oneForwardOneBackward, utilisationBound } from '../src/compression/parallel/pipeline/schedule.ts';
import type { Schedule } from '../src/compression/parallel/pipeline/schedule.ts';
import { simulate } from '../src/compression/parallel/pipeline/simulate.ts';
import { zeroBubble } from '../src/compression/parallel/pipeline/zero-bubble.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';
import { delayOf, type PartAnswer, type PartRequest } from './contenders/pipeline-protocol.ts';
import { saveResult } from './result.ts';

const BATCHES = 2;
const SCHEDULES = { '1f1b': oneForwardOneBackward, 'zb-h1': zeroBubble } as const;

interface Row {
  readonly schedule: keyof typeof SCHEDULES;
  readonly parts: number;
  readonly microBatches: number;
  readonly forwardMs: number;
  readonly kib: number;
  readonly utilisation: number;
  /** Of the same schedule on a virtual clock, without transfers. */
  readonly simulated: number;
  /** m / (m + p - 1) */
  readonly bound1f1b: number;
}

const [parts, microBatches = 8, forwardMs = 100, kib = 256] = process.argv.slice(2).map(Number);
const SIZES = parts
  ? [[parts, microBatches] as const]
  : ([
      [2, 4],
      [2, 8],
      [4, 8],
      [4, 16],
    ] as const);

const rows: Row[] = [];
for (const schedule of Object.keys(SCHEDULES) as (keyof typeof SCHEDULES)[])
  for (const [p, m] of SIZES) {
    rows.push(await measure(schedule, p, m));
    console.table(rows.slice(-1));
    saveResult('pipeline', { batches: BATCHES, rows });
  }

async function measure(name: Row['schedule'], p: number, m: number): Promise<Row> {
  const schedule = SCHEDULES[name](p, m);
  const folder = mkdtempSync(join(tmpdir(), 'lathe-bench-'));
  try {
    const answers = await runParts(schedule, folder);
    const busyMs = BATCHES * passesMs(schedule);
    const elapsedMs =
      Math.max(...answers.map(({ endedAt }) => endedAt)) - Math.min(...answers.map(({ startedAt }) => startedAt));
    const simulated = simulate(schedule, {
      stages: chainOf(p),
      duration: (pass) => delayOf(pass, forwardMs, splits(schedule)),
    });
    return {
      schedule: name,
      parts: p,
      microBatches: m,
      forwardMs,
      kib,
      utilisation: round(busyMs / (p * elapsedMs)),
      simulated: round(simulated.utilisation),
      bound1f1b: round(utilisationBound(p, m)),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function splits(schedule: Schedule): boolean {
  return schedule.flat().some(({ kind }) => kind === 'weights');
}

function passesMs(schedule: Schedule): number {
  return schedule.flat().reduce((sum, pass) => sum + delayOf(pass, forwardMs, splits(schedule)), 0);
}

async function runParts(schedule: Schedule, folder: string): Promise<PartAnswer[]> {
  const script = join(projectRoot, 'dist', 'bench', 'contenders', 'pipeline-part.js');
  const children = schedule.map(() => fork(script, { execArgv: ['--enable-source-maps'] }));
  try {
    return await Promise.all(
      children.map((child, part) => ask(child, { part, schedule, folder, forwardMs, kib, batches: BATCHES })),
    );
  } finally {
    for (const child of children) child.kill();
  }
}

function ask(child: ChildProcess, request: PartRequest): Promise<PartAnswer> {
  return new Promise((resolve, reject) => {
    child.once('message', (answer) => resolve(answer as PartAnswer));
    child.once('exit', (code) => reject(new Error(`Part ${request.part} ended with code ${code}`)));
    child.send(request);
  });
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
