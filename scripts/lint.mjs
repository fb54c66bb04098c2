/**
 * Format, ESLint, types of the scripts, licences and known vulnerabilities, then the direction of imports: of all
 * imports, and of those that load code. Exits 1 where anything is wrong.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folders = ['src', 'workers', 'clients'].filter((folder) => existsSync(join(root, folder)));

/** @returns {{name: string, ok: boolean}[]} one entry per check */
export function lint() {
  return [
    run('format', '@biomejs/biome/bin/biome', ['format']),
    run('C++ format', 'clang-format-node/build/cli.js', ['--dry-run', '--Werror', ...nativeSources()]),
    run('eslint', 'eslint/bin/eslint.js', ['.']),
    run('script types', 'typescript/bin/tsc', ['-p', 'tsconfig.scripts.json']),
    run('licences', 'scripts/audit.mjs'),
    run('import direction', 'dependency-cruiser/bin/dependency-cruise.mjs', [
      '--config',
      '.dependency-cruiser.cjs',
      ...folders,
    ]),
    run('loaded modules', 'dependency-cruiser/bin/dependency-cruise.mjs', [
      '--config',
      '.dependency-cruiser.runtime.cjs',
      ...folders,
    ]),
  ];
}

function nativeSources() {
  return readdirSync(join(root, 'native'))
    .filter((name) => /\.(cc|h)$/.test(name))
    .map((name) => join('native', name));
}

function run(name, script, args = []) {
  const path = script.startsWith('scripts/') ? script : join('node_modules', script);
  const { status } = spawnSync(process.execPath, [join(root, path), ...args], {
    cwd: root,
    stdio: 'inherit',
  });
  return { name, ok: status === 0 };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.exitCode = lint().every(({ ok }) => ok) ? 0 : 1;
}
