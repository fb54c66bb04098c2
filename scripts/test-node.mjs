/**
 * `npm run test:node -- 22 24 26 [-- PATH...]`: the tests (of the paths) under other versions of Node. The binaries are
 * those of npm's packages `node-PLATFORM-ARCH`, kept in the user's cache. Exits 1 where one version fails.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { setupOrExit } from './setup.mjs';
import { root } from './lib/built.mjs';

const [versions, paths] = split(process.argv.slice(2));
if (versions.length === 0 || versions.some((version) => !/^\d+(\.\d+){0,2}$/.test(version))) {
  console.error('usage: npm run test:node -- VERSION... [-- PATH...], such as 22 24 26 -- src/api');
  process.exit(2);
}
await setupOrExit();
const results = versions.map((version) => ({ version, ...testUnder(version) }));
for (const { version, outcome } of results) console.log(`Node ${version}: ${outcome}`);
process.exitCode = results.every(({ outcome }) => outcome.startsWith('passed')) ? 0 : 1;

function split(args) {
  const end = args.indexOf('--');
  return end < 0 ? [args, []] : [args.slice(0, end), args.slice(end + 1)];
}

function testUnder(version) {
  const node = binary(version);
  if (!node) return { outcome: 'failed (npm has no such binary for this platform, or does not answer)' };
  const actual = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
  console.log(`\n=== Node ${actual}`);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = spawnSync(node, [vitest, 'run', '--root', root, ...paths], { cwd: root, stdio: 'inherit' });
  return { outcome: `${status === 0 ? 'passed' : 'failed'} (${actual})` };
}

/** Installs the package of the version once; null where that fails. */
function binary(version) {
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  const folder = join(cache, 'lathe', 'node', version);
  const path = join(folder, 'node_modules', name, 'bin', 'node');
  if (existsSync(path)) return path;
  mkdirSync(folder, { recursive: true });
  const options = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = spawnSync('npm', ['install', '--prefix', folder, ...options, `${name}@${version}`], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return npm.status === 0 && existsSync(path) ? path : null;
}
