/**
 * Where the engine lies: in the user's cache, outside the tree. The job process asks this file too, so it depends on
 * nothing. The addon's folder is named by a hash of all that goes into it; TensorFlow's libraries, which change rarely,
 * have a folder beside it.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TENSORFLOW_VERSION, WHEELS } from './wheels.mjs';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Raise where the build changes in a way that the sources do not show. */
const BUILD_REVISION = 4;

/** @typedef {'cpu' | 'cuda'} Variant */

const NATIVE_FOLDER = nativeSource('');
/** All of the folder: a new file cannot be forgotten. */
const NATIVE_SOURCES = existsSync(NATIVE_FOLDER)
  ? readdirSync(NATIVE_FOLDER)
      .filter((name) => /\.(cc|h)$/.test(name))
      .sort()
      .map(nativeSource)
  : [];
const BINDING_SOURCES = [
  'tfjs_backend.cc',
  'tfjs_backend.h',
  'tfjs_binding.cc',
  'utils.h',
  'napi_auto_ref.h',
  'tf_auto_status.h',
  'tf_auto_tensor.h',
  'tfe_auto_op.h',
];

export function nativeSource(name) {
  return join(root, 'native', name);
}

/** npm package whose binding is built: the two hold the same sources, and each variant takes its own. */
export function bindingPackage(variant) {
  return join(root, 'node_modules', '@tensorflow', variant === 'cuda' ? 'tfjs-node-gpu' : 'tfjs-node');
}

/** What `LATHE_ENGINE_BUILD` asks for, else CUDA where an NVIDIA driver is loaded. */
export function preferredVariant(env = process.env) {
  const asked = env.LATHE_ENGINE_BUILD;
  if (asked === 'cpu' || asked === 'cuda') return asked;
  if (asked) throw new Error(`LATHE_ENGINE_BUILD is "${asked}"; it can be cpu or cuda`);
  return existsSync('/proc/driver/nvidia/version') && WHEELS[`cuda-${process.arch}`] ? 'cuda' : 'cpu';
}

export function cacheFolder(env = process.env) {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'lathe');
}

/**
 * @returns {{addon: string, folder: string, runtime: string, record: string} | null} null: no wheel fits this machine
 */
export function engineLocation(variant, env = process.env) {
  const wheel = WHEELS[`${variant}-${process.arch}`];
  if (process.platform !== 'linux' || !wheel) return null;
  const hash = createHash('sha256').update(JSON.stringify([BUILD_REVISION, variant, process.arch, TENSORFLOW_VERSION]));
  for (const path of [
    ...NATIVE_SOURCES,
    ...BINDING_SOURCES.map((name) => join(bindingPackage(variant), 'binding', name)),
  ]) {
    if (!existsSync(path)) return null;
    hash.update(readFileSync(path));
  }
  const cache = cacheFolder(env);
  const folder = join(cache, `engine-${hash.digest('hex').slice(0, 16)}`);
  const runtime = join(cache, `${wheel.package}-${TENSORFLOW_VERSION}-${process.arch}`);
  return { folder, runtime, addon: join(folder, 'lathe_engine.node'), record: join(folder, 'engine.json') };
}

/** The built engine, whole: every file of its record is there in its recorded size. */
export function findEngine(variant, env = process.env) {
  const location = engineLocation(variant, env);
  if (!location || !existsSync(location.record)) return null;
  try {
    const record = JSON.parse(readFileSync(location.record, 'utf8'));
    const whole = Object.entries(record.files).every(
      ([name, size]) => statSync(join(location.folder, name)).size === size,
    );
    return whole ? { ...location, variant, tensorflow: record.tensorflow } : null;
  } catch {
    return null;
  }
}

/** The engine that a process here should load: the preferred variant, else the CPU one. */
export function findBestEngine(env = process.env) {
  const variant = preferredVariant(env);
  return findEngine(variant, env) ?? (variant === 'cuda' ? findEngine('cpu', env) : null);
}
