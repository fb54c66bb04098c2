/**
 * Brings a fresh clone to where everything runs: packages, symbolic links of the embedded Postgres, database client,
 * TensorFlow engine, compiled dist/. Plain Node, since it runs before anything is installed. Each step looks for itself
 * whether there is something to do, so an interrupted set-up goes on where it was; two at once take turns. All it says
 * goes to stderr.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hydratePostgres } from './hydrate-postgres.mjs';
import { withLock } from './lib/lock.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MIN_NODE = [20, 9];
const FAILED_ENGINE_RETRY_MS = 24 * 3600 * 1000;

const say = (line) => process.stderr.write(`setup: ${line}\n`);

/**
 * @param {{retryEngine?: boolean}} options retryEngine: try again an engine build that failed lately
 */
export async function setup(options = {}) {
  checkNode();
  const started = performance.now();
  let worked = false;
  const did = () => (worked = true);
  await withLock(
    join(root, '.cache', 'setup.lock'),
    (pid) => say(`another set-up is running (process ${pid}); waiting for it`),
    async () => {
      await installPackages(did);
      if (hydratePostgres(root) > 0) did();
      linkCommand();
      await generateDatabaseClient(did);
      await buildTensorFlow(did, options);
      await compile(did);
    },
  );
  if (worked) say(`done in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  throw new Error(`Lathe needs Node ${MIN_NODE.join('.')} or newer; this is ${process.version}`);
}

async function installPackages(did) {
  if (packagesMatchLock()) return;
  did();
  say('installing packages (npm ci)');
  const npm = process.env.npm_execpath?.endsWith('.js') ? [process.execPath, process.env.npm_execpath] : ['npm'];
  await run(
    [...npm, 'ci', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error', '--progress=false'],
    'npm ci',
  );
}

/** npm writes node_modules/.package-lock.json last: it tells what is installed, whole. */
function packagesMatchLock() {
  const installedPath = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedPath)) return false;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedPath, 'utf8')).packages;
  const same = ([path, entry]) =>
    installed[path]?.version === entry.version || (!installed[path] && (entry.optional || entry.link));
  const isWanted = Object.entries(wanted).every((pair) => pair[0] === '' || same(pair));
  return isWanted && Object.keys(installed).every((path) => path in wanted);
}

/** `npx lathe` finds the project's own command where npm would have linked a dependency's. */
function linkCommand() {
  const link = join(root, 'node_modules', '.bin', 'lathe');
  const target = join('..', '..', 'bin', 'lathe.mjs');
  if (lstatSync(link, { throwIfNoEntry: false }) && readlinkSync(link) === target) return;
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(target, link);
}

async function generateDatabaseClient(did) {
  const schema = join(root, 'prisma', 'schema.prisma');
  const inputs = hashFiles([
    schema,
    join(root, 'scripts', 'prisma-generate.mjs'),
    join(root, 'node_modules', 'prisma', 'package.json'),
  ]);
  const output = join(root, 'src', 'store', 'generated');
  const stamps = readStamps();
  if (stamps.database === inputs && existsSync(output)) return;
  did();
  say('generating the database client');
  await run([process.execPath, join(root, 'scripts', 'prisma-generate.mjs')], 'prisma generate');
  writeStamps({ database: inputs });
}

/**
 * Without compiler, pip or network the service still runs, on WebAssembly: a failed build is told once and tried again
 * a day later.
 */
async function buildTensorFlow(did, { retryEngine = false }) {
  const { buildEngine, engineReady } = await import('./engine/build.mjs');
  if (process.env.LATHE_ENGINE === 'wasm' || engineReady()) return;
  const { engineFailedAt = 0 } = readStamps();
  if (!retryEngine && Date.now() - engineFailedAt < FAILED_ENGINE_RETRY_MS) {
    say('the TensorFlow engine is not built, WebAssembly is used instead (npm run setup tries again)');
    return;
  }
  did();
  const built = await buildEngine({ onProgress: say });
  writeStamps({ engineFailedAt: built.ok ? 0 : Date.now() });
  if (!built.ok)
    say(
      `no TensorFlow engine: ${built.reason}; to mend it: ${built.remedy}. ` +
        'WebAssembly is used instead, several times slower.',
    );
}

async function compile(did) {
  const { build } = await import('./build.mjs');
  const { compiled, total } = await build();
  if (compiled === 0) return;
  did();
  say(`compiled ${compiled} of ${total} source files`);
}

/**
 * A command that would go on after a killed set-up would get in the way of the next: it ends when the pipe at 3 closes.
 */
const ENDS_WITH_SETUP = '"$@" 3<&- & child=$!; (cat <&3 >/dev/null; kill $child 2>/dev/null) & wait $child';

/** @returns {Promise<void>} */
function run(command, name) {
  return new Promise((resolve, reject) => {
    const child = spawn('sh', ['-c', ENDS_WITH_SETUP, 'sh', ...command], {
      cwd: root,
      stdio: ['ignore', 2, 2, 'pipe'],
    });
    child.once('error', (error) => reject(new Error(`${name} cannot be started: ${error.message}`)));
    child.once('exit', (code, signal) => {
      child.stdio[3]?.destroy();
      if (code === 0) resolve();
      else reject(new Error(`${name} ended with ${signal ?? `exit code ${code}`}`));
    });
  });
}

function hashFiles(paths) {
  const hash = createHash('sha256');
  for (const path of paths) hash.update(existsSync(path) ? readFileSync(path) : '');
  return hash.digest('hex');
}

/** What was done, kept with the packages it was done for. */
const stampPath = join(root, 'node_modules', '.lathe-setup.json');

function readStamps() {
  try {
    return JSON.parse(readFileSync(stampPath, 'utf8'));
  } catch {
    return {};
  }
}

function writeStamps(change) {
  writeFileSync(`${stampPath}.new`, JSON.stringify({ ...readStamps(), ...change }));
  renameSync(`${stampPath}.new`, stampPath);
}

/** For the commands that begin with the set-up. */
export async function setupOrExit(options) {
  try {
    await setup(options);
  } catch (error) {
    say(error.message);
    process.exit(1);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setupOrExit({ retryEngine: true });
  say('ready: npm run demo, npm start, npm test');
}
