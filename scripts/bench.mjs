/**
 * `npm run bench -- NAME [options]`: one benchmark of bench/; without a name it lists them. `--peers` first makes the
 * Python environment with the peers that benchmarks are measured against.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setupOrExit } from './setup.mjs';
import { makePeers } from './lib/peers.mjs';
import { root, runBuilt } from './lib/built.mjs';

const args = process.argv.slice(2);
const [name, ...rest] = args.filter((arg) => arg !== '--peers');
await setupOrExit();
if (args.includes('--peers')) await makePeers((line) => console.error(line));
if (name) process.exitCode = await run(name, rest);
else if (!args.includes('--peers')) list();

async function run(benchmark, options) {
  if (existsSync(join(root, 'bench', `${benchmark}.ts`))) return runBuilt(`bench/${benchmark}.js`, options);
  console.error(`There is no benchmark "${benchmark}".`);
  list();
  return 1;
}

/** Name and the first line of the file's own description. */
function list() {
  for (const file of readdirSync(join(root, 'bench'))
    .filter((entry) => /(?<!\.test)\.ts$/.test(entry))
    .sort()) {
    const description =
      /\/\*\*\s*\*?\s*(.+)/
        .exec(readFileSync(join(root, 'bench', file), 'utf8'))?.[1]
        ?.replace(/\*\/.*/, '')
        .trim() ?? '';
    console.log(`${file.replace(/\.ts$/, '').padEnd(20)}${description}`);
  }
}
