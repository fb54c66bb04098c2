/**
 * `npm run demo`: set-up, a service of its own on a free port with a temporary folder, the demonstration job over HTTP,
 * everything stopped. The compressed model and nothing else stays behind, in demo-output/.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setupOrExit } from './setup.mjs';
import { root, runBuilt } from './lib/built.mjs';

const READY = /^Lathe is ready at (http:\S+)/;
const STOP_MS = 30_000;

await setupOrExit();
const home = mkdtempSync(join(tmpdir(), 'lathe-demo-'));
let service;
const interrupt = () => void finish(130);
process.once('SIGINT', interrupt);
process.once('SIGTERM', interrupt);
try {
  service = startService(await freePort());
  const url = await service.ready;
  console.log(`Service: ${url}`);
  const apiKey = readFileSync(join(home, 'api-key'), 'utf8').trim();
  const code = await runBuilt('clients/demo/main.js', [join(root, 'demo-output')], {
    env: { ...process.env, LATHE_URL: url, LATHE_API_KEY: apiKey },
  });
  await finish(code);
} catch (error) {
  console.error(error.message);
  await finish(1);
}

function startService(port) {
  const environment = { ...process.env, LATHE_HOME: home, LATHE_PORT: String(port), LATHE_HOST: '127.0.0.1' };
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'LATHE_S3_URL', 'LATHE_API_KEY']) delete environment[name];
  const child = spawn(process.execPath, [join(root, 'scripts', 'start.mjs')], {
    cwd: root,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  child.stderr.on('data', (chunk) => (said = (said + chunk).slice(-4000)));
  const ended = new Promise((resolve) => child.once('close', resolve));
  const ready = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said = `${said}${line}\n`.slice(-4000);
      const match = READY.exec(line);
      if (match) resolve(match[1]);
    });
    void ended.then((code) => reject(new Error(`The service ended before it was ready (exit code ${code}):\n${said}`)));
  });
  return { child, ended, ready };
}

async function finish(code) {
  if (service && service.child.exitCode === null) {
    service.child.kill('SIGTERM');
    const timer = setTimeout(() => service.child.kill('SIGKILL'), STOP_MS);
    await service.ended;
    clearTimeout(timer);
  }
  if (code !== 0 && code !== 130) showLogs();
  rmSync(home, { recursive: true, force: true });
  process.exit(code);
}

function showLogs() {
  for (const name of ['api', 'supervisor']) {
    const path = join(home, 'logs', `${name}.log`);
    if (existsSync(path)) console.error(`--- ${name}.log, its end\n${readFileSync(path, 'utf8').slice(-4000)}`);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}
