/** Compiles the addon: tfjs-node's binding and Lathe's own sources, against TensorFlow's libraries. */
import { dirname, join, relative } from 'node:path';
import { bindingPackage, NATIVE_SOURCES, root } from './location.mjs';
import { BuildProblem } from './problem.mjs';
import { run } from './run.mjs';

const COMPILER = process.env.CXX || 'c++';

/**
 * @param {string} output path of the addon to write
 * @param {string} finalFolder the folder it will be moved to: the libraries are found relative to it
 */
export async function compileAddon(variant, runtime, output, finalFolder) {
  const libraries = join(runtime, 'tensorflow');
  const { code, missing, output: text } = await run(COMPILER, [
    '-O2', '-fno-math-errno', '-fno-trapping-math', '-fopenmp-simd', '-std=c++17', '-shared', '-fPIC', '-pthread', '-fvisibility=hidden', '-w',
    '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=lathe_engine', '-DBUILDING_NODE_EXTENSION',
    `-I${join(root, 'node_modules', 'node-api-headers', 'include')}`,
    `-I${bindingPackage(variant)}`, `-I${join(bindingPackage(variant), 'binding')}`,
    `-I${join(libraries, 'include')}`, `-I${dirname(NATIVE_SOURCES[0])}`,
    ...NATIVE_SOURCES.filter((path) => path.endsWith('.cc')),
    `-L${libraries}`, '-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2',
    `-Wl,-rpath,$ORIGIN/${relative(finalFolder, libraries)}`, '-o', output,
  ]);
  if (missing) throw new BuildProblem(`no C++ compiler (${COMPILER}) was found`, 'install one (Debian: apt-get install g++), then npm run setup');
  if (code === 0) return;
  if (/No space left on device/i.test(text)) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' });
  const line = text.split('\n').find((each) => /error|undefined reference/i.test(each)) ?? text.slice(-300);
  throw new BuildProblem(`${COMPILER} could not compile the engine: ${line.trim()}`, 'a compiler that knows C++17 is needed (GCC 9 or clang 10), then npm run setup');
}
