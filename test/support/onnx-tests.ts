/**
 * The ONNX backend tests, out of PyPI's onnx wheel, in the user's cache: fetched once, by pip, where there is a pip.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const VERSION = '1.19.0';
export const ONNX_TESTS_MISSING =
  'The ONNX backend tests are not there: they come with pip (onnx ' +
  `${VERSION}; Debian: ` +
  'apt-get install ' +
  'python3-pip)';

const UNPACK = `
import sys, zipfile
wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith('onnx/backend/test/data/')])
`;

/**
 * Folder with node/, simple/, pytorch-converted/ and pytorch-operator/; null where it cannot be had. Suites that need
 * it are then skipped.
 */
export function onnxTests(): string | null {
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lathe');
  const folder = join(cache, `onnx-tests-${VERSION}`);
  const data = join(folder, 'onnx', 'backend', 'test', 'data');
  if (existsSync(data)) return data;
  mkdirSync(cache, { recursive: true });
  const partial = mkdtempSync(join(cache, 'onnx-tests.partial-'));
  try {
    if (!fetchInto(partial)) return null;
    if (!existsSync(folder)) renameSync(partial, folder);
    return data;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

function fetchInto(folder: string): boolean {
  const pip = [
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--no-input',
    '--disable-pip-version-check',
    '-q',
    '-d',
    folder,
    `onnx==${VERSION}`,
  ];
  const fetched = spawnSync('python3', pip, { stdio: 'ignore', timeout: 180_000 });
  const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
  if (fetched.status !== 0 || !wheel) {
    console.warn(ONNX_TESTS_MISSING);
    return false;
  }
  const unpacked = spawnSync('python3', ['-c', UNPACK, join(folder, wheel), folder], { stdio: 'ignore' });
  rmSync(join(folder, wheel), { force: true });
  return unpacked.status === 0;
}
