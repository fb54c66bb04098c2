/**
 * TensorFlow's libraries and C headers, out of its wheel. pip fetches it, so that a mirror, a proxy or a local folder
 * of wheels that is set up for pip serves here too; the sha256 is checked whatever it came from. Any pip of any Python
 * will do: the wheel's Python version is given, since nothing in it is ever run by Python.
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildProblem } from './problem.mjs';
import { lastLine, run } from './run.mjs';
import { TENSORFLOW_VERSION } from './wheels.mjs';

const STALL_MS = 180_000;
const NO_PIP = new BuildProblem(
  'Python 3 with pip is needed to fetch TensorFlow and was not found',
  'install it (Debian: apt-get install python3-pip), then npm run setup',
);

/** Only what the addon is linked with and compiled against; of 13,000 headers it needs a few hundred. */
const UNPACK = `
import sys, zipfile
wheel, folder = sys.argv[1:]
wanted = tuple('tensorflow/' + name for name in (
    'libtensorflow_cc.so.2', 'libtensorflow_framework.so.2', 'THIRD_PARTY_NOTICES.txt',
    'include/tensorflow/c/', 'include/tensorflow/core/platform/',
    'include/tensorflow/core/common_runtime/next_pluggable_device/c/', 'include/xla/tsl/', 'include/tsl/'))
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.startswith(wanted):
            archive.extract(name, folder)
`;

/** Fills `folder` with tensorflow/{libtensorflow_cc.so.2, libtensorflow_framework.so.2, include}. */
export async function fetchRuntime(wheel, folder, report) {
  const python = await findPython();
  const download = join(folder, 'download');
  mkdirSync(download, { recursive: true });
  const file = await downloadWheel(python, wheel, download, report);
  report(`unpacking ${wheel.package} ${TENSORFLOW_VERSION}`);
  const unpacked = await run(python.command, ['-c', UNPACK, file, folder]);
  if (unpacked.code !== 0)
    throw (
      diskProblem(unpacked.output) ??
      new BuildProblem(`unpacking ${wheel.package}: ${lastLine(unpacked.output)}`, 'npm run setup')
    );
  rmSync(download, { recursive: true, force: true });
}

async function findPython() {
  for (const command of ['python3', 'python']) {
    const script = 'import sys, pip; print("%d.%d" % sys.version_info[:2])';
    const { code, output } = await run(command, ['-c', script]);
    if (code === 0) return { command, version: lastLine(output) };
  }
  throw NO_PIP;
}

async function downloadWheel(python, wheel, folder, report) {
  const version = wheel.sha256[python.version] ? python.version : '3.12';
  const requirements = join(folder, 'requirements.txt');
  writeFileSync(requirements, `${wheel.package}==${TENSORFLOW_VERSION} --hash=sha256:${wheel.sha256[version]}\n`);
  const progress = watchSize(folder, wheel, report);
  const { code, output } = await run(
    python.command,
    [
      '-m',
      'pip',
      'download',
      '--no-deps',
      '--only-binary=:all:',
      '--implementation=cp',
      `--python-version=${version}`,
      `--platform=${wheel.platform}`,
      '--require-hashes',
      '-r',
      requirements,
      '-d',
      folder,
      '--progress-bar=off',
      '--no-input',
      '--disable-pip-version-check',
    ],
    { env: { ...process.env, TMPDIR: folder, PIP_REQUIRE_VIRTUALENV: 'false' }, stalled: progress.stalled },
  );
  progress.stop();
  if (code !== 0) throw downloadProblem(wheel, output, progress.stalled());
  const name = readdirSync(folder).find((entry) => entry.endsWith('.whl'));
  if (!name) throw new BuildProblem(`pip brought no wheel of ${wheel.package}`, 'npm run setup');
  return join(folder, name);
}

function downloadProblem(wheel, output, stalled) {
  const retry = "check the network or pip's index settings (pip config list), then npm run setup";
  if (stalled) return new BuildProblem(`the download of ${wheel.package} stood still for ${STALL_MS / 1000} s`, retry);
  if (/DO NOT MATCH THE HASHES/i.test(output)) {
    return new BuildProblem(
      `the ${wheel.package} wheel that pip was given is not the published one (its sha256 differs)`,
      'see where pip takes it from: pip config list',
    );
  }
  return (
    diskProblem(output) ??
    new BuildProblem(`pip could not fetch ${wheel.package} ${TENSORFLOW_VERSION}: ${lastLine(output)}`, retry)
  );
}

function diskProblem(output) {
  return /No space left on device/i.test(output) ? Object.assign(new Error('disk full'), { code: 'ENOSPC' }) : null;
}

/**
 * pip is silent when nobody looks at it; what it has written so far tells how far it is, and whether it still moves.
 */
function watchSize(folder, wheel, report) {
  let size = 0;
  let movedAt = Date.now();
  const timer = setInterval(() => {
    const now = folderSize(folder);
    if (now === size) return;
    [size, movedAt] = [now, Date.now()];
    report(
      `downloading ${wheel.package} ${TENSORFLOW_VERSION}: ` +
        `${Math.round(Math.min(size, wheel.downloadBytes) / 1e6)} of ${Math.round(wheel.downloadBytes / 1e6)} MB`,
    );
  }, 2000);
  return { stalled: () => Date.now() - movedAt > STALL_MS, stop: () => clearInterval(timer) };
}

function folderSize(folder) {
  let total = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile())
      total += statSync(join(entry.parentPath ?? entry.path, entry.name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return total;
}
