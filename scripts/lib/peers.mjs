/**
 * The peers of the benchmarks, in a Python environment of their own in the user's cache: Keras 3 on TensorFlow, and
 * PyTorch.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../engine/location.mjs';

const REQUIRED = ['tensorflow-cpu==2.21.0', 'keras>=3.15', 'numpy', 'onnx', 'onnxruntime'];
const OPTIONAL = ['torch', 'torchvision', 'pillow'];

export function peersPython() {
  return join(cacheFolder(), 'peers', 'bin', 'python');
}

/** PyTorch is left out where it cannot be had; benchmarks name peers that are not installed as skipped. */
export async function makePeers(say) {
  const folder = join(cacheFolder(), 'peers');
  if (!existsSync(peersPython())) {
    say(`making a Python environment in ${folder}`);
    await run('python3', ['-m', 'venv', folder]);
  }
  say(`installing ${REQUIRED.join(', ')}`);
  await run(peersPython(), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...REQUIRED]);
  say(`installing ${OPTIONAL.join(', ')}`);
  await run(peersPython(), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...OPTIONAL]).catch(
    (error) => say(`left out: ${error.message}`),
  );
}

/** @returns {Promise<void>} */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`${command} ${args.slice(0, 3).join(' ')} ended with exit code ${code}`)),
    );
  });
}
