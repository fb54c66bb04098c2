/** What `lathe doctor` reports on the engine, and on how to make it faster. */
import { availableParallelism } from 'node:os';
import type { Finding } from '../../contracts/diagnosis.ts';
import { startEngine } from './engine.ts';
import type { Engine, EngineChoice } from './engine.ts';
import { tf } from './tf.ts';

/** Starts the engine as a job would, computes with it, and says what it found. */
export async function engineFindings(choice: EngineChoice = 'auto', threads?: number): Promise<Finding[]> {
  const started = await startEngine(choice, { threads });
  return [
    engineFinding(started, choice),
    { name: 'devices', value: started.devices.join(', '), state: 'ok' },
    threadsFinding(started),
    speedFinding(),
  ];
}

function engineFinding({ name, version, reason, native, variant, gpu }: Engine, choice: EngineChoice): Finding {
  const software = name === 'tensorflow' ? `TensorFlow ${version} (${variant})` : `${name} (tfjs ${version})`;
  const value = `${software}: ${reason}`;
  if (!native && choice === 'auto') return { name: 'engine', value, state: 'warning', remedy: 'npm run setup' };
  if (variant === 'cuda' && !gpu)
    return {
      name: 'engine',
      value,
      state: 'warning',
      remedy: 'install an NVIDIA driver (nvidia-smi shows it) and the CUDA 12 libraries',
    };
  return { name: 'engine', value, state: 'ok' };
}

function threadsFinding({ threads }: Engine): Finding {
  return { name: 'threads', value: `${threads} of ${availableParallelism()}`, state: 'ok' };
}

/** A product of two 512 x 512 matrices: that the engine computes, and about how fast. */
function speedFinding(): Finding {
  const size = 512;
  const repeats = 8;
  const gflops = tf.tidy(() => {
    const a = tf.ones([size, size]);
    tf.matMul(a, a).dataSync();
    const start = performance.now();
    for (let i = 0; i < repeats; i++) tf.matMul(a, a).dataSync();
    return (repeats * 2 * size ** 3) / (performance.now() - start) / 1e6;
  });
  return { name: 'speed', value: `${gflops.toFixed(0)} GFLOP/s in matrix products`, state: 'ok' };
}
