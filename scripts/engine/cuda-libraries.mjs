/**
 * NVIDIA's CUDA 12 libraries from PyPI, beside TensorFlow's own, where its CUDA build looks for them (`nvidia` in the
 * folder above): the packages and bounds of the wheel's extra `and-cuda`. Needed where the system has no CUDA 12 of its
 * own; about 3 GB.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { engineLocation } from './location.mjs';
import { BuildProblem } from './problem.mjs';
import { lastLine, run } from './run.mjs';

const LIBRARIES = [
  'nvidia-cublas-cu12>=12.5.3.2,<13',
  'nvidia-cuda-cupti-cu12>=12.5.82,<13',
  'nvidia-cuda-nvcc-cu12>=12.5.82,<13',
  'nvidia-cuda-nvrtc-cu12>=12.5.82,<13',
  'nvidia-cuda-runtime-cu12>=12.5.82,<13',
  'nvidia-cudnn-cu12>=9.3.0.75,<10',
  'nvidia-cufft-cu12>=11.2.3.61,<12',
  'nvidia-curand-cu12>=10.3.6.82,<11',
  'nvidia-cusolver-cu12>=11.6.3.83,<12',
  'nvidia-cusparse-cu12>=12.5.1.3,<13',
  'nvidia-nccl-cu12>=2.27.7,<3',
  'nvidia-nvjitlink-cu12>=12.5.82,<13',
];

/** @returns {Promise<string>} the folder they were put in */
export async function installCudaLibraries() {
  const location = engineLocation('cuda');
  if (!location || !existsSync(location.runtime))
    throw new BuildProblem('the CUDA build of the engine is not there yet', 'LATHE_ENGINE_BUILD=cuda npm run setup');
  const { code, output } = await run('python3', [
    '-m',
    'pip',
    'install',
    '--no-deps',
    '--upgrade',
    '--target',
    location.runtime,
    '--no-input',
    '--disable-pip-version-check',
    ...LIBRARIES,
  ]);
  if (code !== 0)
    throw new BuildProblem(
      `pip could not install the CUDA libraries: ${lastLine(output)}`,
      'node scripts/engine/cuda-libraries.mjs',
    );
  return location.runtime;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log(`CUDA libraries are in ${await installCudaLibraries()}/nvidia`);
}
