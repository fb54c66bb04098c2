/**
 * Types, ESLint, format, licences and known vulnerabilities, then the direction of imports: of all imports, and of those
 * that load code. As many at a time as there are cores. Exits 1 where anything is wrong.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folders = ['src', 'workers', 'clients'].filter((folder) => existsSync(join(root, folder)));

/** @returns {Promise<{name: string, ok: boolean}[]>} one entry per check */
export async function lint() {
  const { default: pLimit } = await import('p-limit'); // `npm test` installs it after it has read this file
  const depcruise = 'dependency-cruiser/bin/dependency-cruise.mjs';
  const limit = pLimit(availableParallelism());
  // the longest first
  /** @type {[string, string, string[]?][]} */
  const checks = [
    ['types and eslint', 'scripts/lib/typed-lint.mjs'],
    ['script types', 'typescript/bin/tsc', ['-p', 'tsconfig.scripts.json']],
    ['import direction', depcruise, ['--config', '.dependency-cruiser.cjs', ...folders]],
    ['loaded modules', depcruise, ['--config', '.dependency-cruiser.runtime.cjs', ...folders]],
    ['licences', 'scripts/audit.mjs'],
    ['C++ format', 'clang-format-node/build/cli.js', ['--dry-run', '--Werror', ...nativeSources()]],
    ['format', '@biomejs/biome/bin/biome', ['format']],
  ];
  return Promise.all(checks.map(([name, script, args]) => limit(() => run(name, script, args))));
}

function nativeSources() {
  return readdirSync(join(root, 'native'))
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => join('native', name));
}

/** Shows what the check says when it has ended: several run at a time. */
function run(name, script, args = []) {
  const path = script.startsWith('scripts/') ? script : join('node_modules', script);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, path), ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => said.push(chunk));
    child.once('error', (error) => said.push(Buffer.from(`${error.message}\n`)));
    child.once('close', (code) => {
      process.stdout.write(Buffer.concat(said));
      resolve({ name, ok: code === 0 });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = (await lint()).every(({ ok }) => ok) ? 0 : 1;
}
