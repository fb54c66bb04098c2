/**
 * Where Lathe's processes start: production code is compiled to dist/ and bundled there, and every child is a script of
 * the bundle.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ENTRIES = {
  launcher: 'workers/launcher.js',
  api: 'src/api/main.js',
  supervisor: 'workers/supervisor.js',
  engine: 'workers/engine.js',
  replica: 'workers/replicas/replica.js',
  'inspect-model': 'workers/inspection/inspect-model.js',
  'check-model': 'workers/inspection/check-model.js',
  'inspect-dataset': 'workers/inspection/inspect-dataset.js',
  'load-batches': 'workers/load-batches.js',
  'probe-engine': 'workers/probe-engine.js',
  watchdog: 'workers/job-process/watchdog.js',
  cli: 'clients/cli/main.js',
} as const;
/** Below dist/, where the build bundles them. */
export const PROCESS_SCRIPTS: readonly string[] = Object.values(ENTRIES);
export type ProcessName = keyof typeof ENTRIES;

export interface ProcessEntry {
  /** Absolute path of the script. */
  readonly path: string;
  /** Flags for node itself; they go before the path. */
  readonly flags: readonly string[];
}

/** The folder that holds package.json, above this file whether it runs from src/ or from dist/src/. */
export const projectRoot: string = findProjectRoot(dirname(fileURLToPath(import.meta.url)));

/**
 * @throws Error where dist/ lacks the script: the build has not run.
 */
export function processEntry(name: ProcessName): ProcessEntry {
  const path = join(projectRoot, 'dist', 'bundle', ENTRIES[name]);
  if (!existsSync(path)) throw new Error(`${path} is missing: run "npm run build"`);
  return { path, flags: ['--enable-source-maps'] };
}

function findProjectRoot(start: string): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) throw new Error(`No package.json above ${start}`);
  }
}
