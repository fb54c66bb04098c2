/**
 * Builds the TensorFlow engine: tfjs-node's binding against a current TensorFlow, into the user's cache. What it
 * downloads and compiles appears there by a rename, whole or not at all; several builds at once take turns.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isAlive } from '../../src/process/process-state.mjs';
import { withLock } from '../lib/lock.mjs';
import { compileAddon } from './addon.mjs';
import { bindingPackage, cacheFolder, engineLocation, findEngine, preferredVariant } from './location.mjs';
import { asProblem, BuildProblem } from './problem.mjs';
import { lastLine, run } from './run.mjs';
import { fetchRuntime } from './runtime.mjs';
import { TENSORFLOW_VERSION, WHEELS } from './wheels.mjs';

const MIN_GLIBC = 2.27;

/**
 * @param {{variant?: 'cpu' | 'cuda', onProgress?: (line: string) => void}} options variant: by default CUDA where an
 * NVIDIA driver is loaded
 * @returns {Promise<{ok: true, path: string} | {ok: false, reason: string, remedy: string}>} path: of the addon
 */
export async function buildEngine({ variant = preferredVariant(), onProgress = () => undefined } = {}) {
  const cache = cacheFolder();
  try {
    const location = checkMachine(variant);
    if (!findEngine(variant)) {
      await withLock(
        `${location.folder}.lock`,
        () => onProgress('another process builds the engine; waiting for it'),
        () => buildLocked(variant, location, onProgress),
      );
    }
    return { ok: true, path: location.addon };
  } catch (error) {
    const { message, remedy } = asProblem(error, cache);
    return { ok: false, reason: message, remedy };
  }
}

/** Whether there is nothing to build. */
export function engineReady(variant = preferredVariant()) {
  return findEngine(variant) !== null;
}

function checkMachine(variant) {
  const location = engineLocation(variant);
  if (!existsSync(join(bindingPackage(variant), 'binding')))
    throw new BuildProblem(`${bindingPackage(variant)} is not installed`, 'npm ci');
  if (!location)
    throw new BuildProblem(
      `TensorFlow ${TENSORFLOW_VERSION} (${variant}) is not published for ${process.platform}-${process.arch}`,
      'use Linux on x86-64 or ARM64',
    );
  const report = /** @type {{header: {glibcVersionRuntime?: string}}} */ (process.report.getReport());
  const glibc = report.header.glibcVersionRuntime;
  if (!(compareVersions(glibc ?? '0', String(MIN_GLIBC)) >= 0)) {
    throw new BuildProblem(
      `TensorFlow ${TENSORFLOW_VERSION} needs glibc ${MIN_GLIBC} or newer; ` +
        `this system has ${glibc ?? 'another C library'}`,
      'use a glibc distribution such as Debian',
    );
  }
  return location;
}

function compareVersions(a, b) {
  const [major, minor] = a.split('.').map(Number);
  const [wantedMajor, wantedMinor] = b.split('.').map(Number);
  return major - wantedMajor || minor - wantedMinor;
}

async function buildLocked(variant, location, report) {
  if (findEngine(variant)) return;
  removeLeftovers(location);
  const wheel = WHEELS[`${variant}-${process.arch}`];
  if (!existsSync(location.runtime)) {
    checkSpace(dirname(location.runtime), wheel.downloadBytes * 2 + wheel.unpackedBytes);
    await publish(location.runtime, (folder) => fetchRuntime(wheel, folder, report));
  }
  rmSync(location.folder, { recursive: true, force: true });
  await publish(location.folder, async (folder) => {
    report('compiling the engine (half a minute)');
    const addon = join(folder, basename(location.addon));
    const warnings = await compileAddon(variant, location.runtime, addon, location.folder);
    await checkLoads(addon);
    const record = {
      variant,
      tensorflow: TENSORFLOW_VERSION,
      wheel: wheel.package,
      warnings,
      files: { [basename(addon)]: statSync(addon).size },
    };
    writeFileSync(join(folder, basename(location.record)), `${JSON.stringify(record, null, 2)}\n`);
  });
}

/** Makes a folder under another name and renames it into place. */
async function publish(target, fill) {
  const partial = `${target}.partial-${process.pid}`;
  mkdirSync(partial, { recursive: true });
  try {
    await fill(partial);
    renameSync(partial, target);
  } catch (error) {
    // another variant's build was faster
    if (!(existsSync(target) && ['ENOTEMPTY', 'EEXIST'].includes(error.code))) throw error;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** What a build that was killed left behind. */
function removeLeftovers(location) {
  for (const target of [location.folder, location.runtime]) {
    for (const name of readdirSync(dirname(target))) {
      const pid = name.startsWith(`${basename(target)}.partial-`) ? Number(name.split('-').at(-1)) : 0;
      if (pid && !isAlive(pid)) rmSync(join(dirname(target), name), { recursive: true, force: true });
    }
  }
}

function checkSpace(folder, needed) {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= needed) return;
  const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new BuildProblem(
    `the engine needs ${gigabytes(needed)} while it is built; ${folder} has ${gigabytes(free)} free`,
    'free space there, or set XDG_CACHE_HOME to a disk that has it',
  );
}

/** A library that cannot be loaded must be found out here and not by the first job. */
async function checkLoads(addon) {
  const { code, output } = await run(process.execPath, ['-e', 'require(process.argv[1])', addon], {
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' },
  });
  if (code !== 0)
    throw new BuildProblem(`the engine was built but does not load: ${lastLine(output)}`, 'npm run setup');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await buildEngine({ onProgress: (line) => console.error(line) });
  console.log(
    result.ok
      ? `The engine is at ${result.path}`
      : `The engine cannot be built: ${result.reason}. Remedy: ${result.remedy}. WebAssembly is used instead.`,
  );
  process.exitCode = result.ok ? 0 : 1;
}
