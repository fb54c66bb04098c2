/** What a child sees of its parent's environment. */

/** What finds programs, libraries, caches and devices. */
const KEPT = [
  'PATH',
  'HOME',
  'LANG',
  'TZ',
  'TMPDIR',
  'XDG_CACHE_HOME',
  'LD_LIBRARY_PATH',
  'CUDA_VISIBLE_DEVICES',
  'VK_ICD_FILENAMES',
  'LATHE_CACHE',
  'LATHE_ENGINE',
  'LATHE_ENGINE_BUILD',
  'LATHE_KERNELS',
] as const;

/** No keys, no database: only `KEPT`. */
export function childEnvironment(environment: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => (KEPT as readonly string[]).includes(name)));
}
