/** Runs a scenario (shared-rank.ts) in several real processes, the ranks of a shared group. */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { projectRoot } from '../../src/process/entry.ts';

/** What a rank sent, or how it ended. */
export interface Outcome<T> {
  readonly value?: T;
  readonly error?: string;
  readonly signal?: string;
}

export interface Ranks<T> {
  readonly path: string;
  readonly children: readonly ChildProcess[];
  readonly outcomes: Promise<Outcome<T>[]>;
}

/** Where groups meet: the kernel's own memory where it is there. */
export function newPath(): string {
  return join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `lathe-test-${randomUUID()}`);
}

/** @param argument what the scenario takes besides its group */
export function startRanks<T>(
  scenario: string,
  size: number,
  argument: unknown = null,
  environment: NodeJS.ProcessEnv = {},
): Ranks<T> {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-ranks-'));
  const path = newPath();
  const script = compileScript(folder);
  const children = Array.from({ length: size }, (_, rank) =>
    fork(script, [JSON.stringify({ scenario, rank, size, path, argument })], {
      execArgv: [],
      env: { ...process.env, ...environment },
    }),
  );
  const outcomes = Promise.all(children.map((child) => outcomeOf<T>(child))).finally(() =>
    rmSync(folder, { recursive: true }),
  );
  return { path, children, outcomes };
}

/** The values of a scenario in which every rank succeeds. @throws Error with the first rank's that does not */
export async function runRanks<T>(
  scenario: string,
  size: number,
  argument: unknown = null,
  environment: NodeJS.ProcessEnv = {},
): Promise<T[]> {
  const { path, outcomes } = startRanks<T>(scenario, size, argument, environment);
  const all = await outcomes;
  if (existsSync(path)) throw new Error(`${path} was left behind`);
  return all.map(({ value, error, signal }, rank) => {
    if (value === undefined) throw new Error(`rank ${rank}: ${error ?? signal ?? 'no answer'}`);
    return value;
  });
}

function outcomeOf<T>(child: ChildProcess): Promise<Outcome<T>> {
  return new Promise((resolve) => {
    let sent: Outcome<T> = {};
    child.on('message', (message) => (sent = message as Outcome<T>));
    child.once('exit', (_code, signal) => resolve(signal ? { ...sent, signal } : sent));
  });
}

/** Child processes run what is built in dist/. */
function compileScript(folder: string): string {
  const { outputText } = ts.transpileModule(readFileSync(new URL('./shared-rank.ts', import.meta.url), 'utf8'), {
    compilerOptions: {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      rewriteRelativeImportExtensions: true,
    },
  });
  const script = join(folder, 'shared-rank.mjs');
  const dist = pathToFileURL(join(projectRoot, 'dist', 'src')).href;
  writeFileSync(script, outputText.replaceAll('../../src', dist));
  return script;
}
