/** Child processes of the build: output kept, the end awaited, `ENOENT` told apart. */
import { spawn } from 'node:child_process';

/** Children that end with this process. */
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGTERM')));

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{cwd?: string, env?: NodeJS.ProcessEnv, stalled?: () => boolean}} options stalled: asked every 5 s; true ends
 * the child
 * @returns {Promise<{code: number | null, missing: boolean, output: string}>} output: the last 16,000 characters of
 * both streams
 */
export function run(command, args, { cwd, env = process.env, stalled = () => false } = {}) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (chunk) => (output = (output + chunk).slice(-16_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const watch = setInterval(() => stalled() && child.kill('SIGTERM'), 5000);
    running.add(child);
    const end = (result) => {
      clearInterval(watch);
      running.delete(child);
      resolve({ ...result, output });
    };
    child.once('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      end({ code: null, missing: error.code === 'ENOENT' }),
    );
    child.once('close', (code) => end({ code, missing: false }));
  });
}

/** The last line of a tool's output that says something. */
export function lastLine(output) {
  return (
    output
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
      .at(-1) ?? 'no output'
  );
}
