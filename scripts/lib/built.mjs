/** Scripts of dist/, in this process or in a child. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export function importBuilt(name) {
  process.setSourceMapsEnabled(true);
  return import(pathToFileURL(join(root, 'dist', name)).href);
}

/**
 * Runs a script of dist/ with this terminal; signals that end this process are passed on. Resolves with the exit code.
 */
export function runBuilt(name, args, options = {}) {
  return runNode(['--enable-source-maps', ...(options.flags ?? []), join(root, 'dist', name), ...args], options);
}

export function runNode(args, { env = process.env } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { cwd: process.cwd(), stdio: 'inherit', env });
    const passOn = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, passOn);
    child.once('error', reject);
    child.once('close', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM']) process.removeListener(name, passOn);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 143));
    });
  });
}
