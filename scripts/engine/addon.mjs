/** Compiles the addon: tfjs-node's binding and Lathe's own sources, against TensorFlow's libraries. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { bindingPackage, nativeSource, root } from './location.mjs';
import { BuildProblem } from './problem.mjs';
import { run } from './run.mjs';

const COMPILER = process.env.CXX || 'c++';
const COMMON = [
  '-O2',
  '-fno-math-errno',
  '-fno-trapping-math',
  '-fopenmp-simd',
  '-std=c++17',
  '-fPIC',
  '-pthread',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Werror',
];

/**
 * Sets of kernels, each a compilation of kernel-set.cc. None is compiled for the machine that builds: which one runs is
 * decided where the addon is loaded.
 */
const KERNEL_SETS = {
  x64: { plain: [], avx2: ['-DLATHE_WITH_AVX2'], avx512: ['-DLATHE_WITH_AVX512'] },
  arm64: { neon: [] },
};

/** Sources that are compiled once, for every processor of the architecture. */
const OWN_SOURCES = [
  'engine',
  'kernels',
  'parallel',
  'ordered-tasks',
  'shared-exchange',
  'shared-file',
  'shared-group',
  'shared-group-exports',
  'shared-group-ops',
  'shared-group-registry',
];

/**
 * @param {string} output path of the addon to write
 * @param {string} finalFolder the folder it will be moved to: the libraries are found relative to it
 * @returns {Promise<string[]>} the compiler's warnings about Lathe's own sources
 */
export async function compileAddon(variant, runtime, output, finalFolder) {
  const libraries = join(runtime, 'tensorflow');
  const objects = join(dirname(output), 'objects');
  mkdirSync(objects, { recursive: true });
  // Warnings are for Lathe's own sources: what comes from others is a system header to the compiler.
  const foreign = [
    join(root, 'node_modules', 'node-api-headers', 'include'),
    bindingPackage(variant),
    join(bindingPackage(variant), 'binding'),
    join(libraries, 'include'),
  ];
  const includes = [
    '-DNAPI_VERSION=8',
    '-DNODE_GYP_MODULE_NAME=lathe_engine',
    '-DBUILDING_NODE_EXTENSION',
    `-I${dirname(nativeSource('engine.cc'))}`,
    ...foreign.flatMap((folder) => ['-isystem', folder]),
  ];
  const object = async ({ name, source, flags = [] }) => {
    const path = join(objects, `${name}.o`);
    const args = [...COMMON, ...includes, ...flags, '-c', nativeSource(source), '-o', path];
    return { path, warnings: await compile(args) };
  };
  const sets = Object.entries(KERNEL_SETS[process.arch] ?? {}).map(([name, flags]) => ({
    name,
    source: 'kernel-set.cc',
    flags: ['-O3', `-DLATHE_SET=${name}`, ...flags],
  }));
  const own = OWN_SOURCES.map((name) => ({ name, source: `${name}.cc` }));
  // The plain set is linked before the others: of what several define alike, the linker keeps the first.
  const compiled = await Promise.all([...own, ...sets].map(object));
  await compile([
    ...COMMON,
    '-shared',
    ...compiled.map(({ path }) => path),
    `-L${libraries}`,
    '-l:libtensorflow_cc.so.2',
    '-l:libtensorflow_framework.so.2',
    `-Wl,-rpath,$ORIGIN/${relative(finalFolder, libraries)}`,
    '-o',
    output,
  ]);
  rmSync(objects, { recursive: true });
  return compiled.flatMap(({ warnings }) => warnings);
}

/**
 * Compiles with warnings as errors. Where these alone stand against it, as with a newer compiler that warns of more, it
 * compiles again without: an installation does not fail for them, the tests do.
 *
 * @returns {Promise<string[]>} the warnings
 */
async function compile(args) {
  const first = await run(COMPILER, args);
  const errors = first.output.split('\n').filter((line) => /\berror: /.test(line));
  if (errors.length === 0 || !errors.every((line) => /\[-Werror[^\]]*\]$/.test(line))) {
    check(first);
    return [];
  }
  check(await run(COMPILER, [...args, '-Wno-error']));
  return errors;
}

function check({ code, missing, output: text }) {
  if (missing)
    throw new BuildProblem(
      `no C++ compiler (${COMPILER}) was found`,
      'install one (Debian: apt-get install g++), then npm run setup',
    );
  if (code === 0) return;
  if (/No space left on device/i.test(text)) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
  const line = text.split('\n').find((each) => /error|undefined reference/i.test(each)) ?? text.slice(-300);
  throw new BuildProblem(
    `${COMPILER} could not compile the engine: ${line.trim()}`,
    'a compiler that knows C++17 is needed (GCC 9 or clang 10), then npm run setup',
  );
}
