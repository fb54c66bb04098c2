/** Results of benchmarks: one JSON file per run, with the facts needed to judge it later. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { instructionSet } from './instruction-set.ts';
import { projectRoot } from '../src/compression/tensor/project-root.ts';

/** Taken at the start, before the run overwrites a result that git tracks. */
const atStart = { date: new Date().toISOString(), commit: commit() };

/**
 * Writes bench/results/<name>-<date>.json and returns its path relative to the project; called after every row, it
 * loses no measurement.
 */
export function saveResult(name: string, result: object): string {
  const { date } = atStart;
  const path = join('bench', 'results', `${name}-${date.slice(0, 10)}.json`);
  mkdirSync(join(projectRoot, 'bench', 'results'), { recursive: true });
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    instructionSet: instructionSet(),
  };
  writeFileSync(join(projectRoot, path), `${JSON.stringify({ name, ...atStart, machine, ...result }, null, 2)}\n`);
  return path;
}

/** With "-dirty" if tracked files are changed. */
function commit(): string {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*'], {
      cwd: projectRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
