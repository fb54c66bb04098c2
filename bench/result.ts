/** Results of benchmarks: one JSON file per run, with what is needed to judge it later. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../src/compression/tensor/project-root.ts';

/** Writes bench/results/<name>-<date>.json and returns its path relative to the project. */
export function saveResult(name: string, result: object): string {
  const date = new Date().toISOString();
  const path = join('bench', 'results', `${name}-${date.slice(0, 10)}.json`);
  mkdirSync(join(projectRoot, 'bench', 'results'), { recursive: true });
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, memoryBytes: totalmem(), node: process.version };
  writeFileSync(join(projectRoot, path), `${JSON.stringify({ name, date, commit: commit(), machine, ...result }, null, 2)}\n`);
  return path;
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: projectRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}
