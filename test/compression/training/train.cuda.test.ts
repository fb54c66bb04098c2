/**
 * TensorFlow's CUDA build, where it is in the cache: without an NVIDIA GPU it computes on the CPU, and says so. Its
 * wheel has 572 MB.
 */
import { describe, expect, test } from 'vitest';
import { engine } from '../../../src/compression/tensor/engine.ts';
import { findEngineBuild } from '../../../src/compression/tensor/native/binding.ts';
import { trainingSuite } from './suite.ts';

process.env.LATHE_ENGINE_BUILD = 'cuda';
const built = await findEngineBuild('cuda');
if (!built)
  console.warn('The CUDA build is not tested, since it is not there: "LATHE_ENGINE_BUILD=cuda npm run setup" makes it');

describe.skipIf(!built)('the CUDA build', () => {
  trainingSuite('tensorflow');

  test('is the engine that was loaded; it tells where it computes', () => {
    const { variant, gpu, reason, devices } = engine();
    expect(variant).toBe('cuda');
    expect(reason.includes('no usable NVIDIA GPU')).toBe(!gpu);
    expect(devices.some((name) => name.startsWith('GPU'))).toBe(gpu);
  });
});
