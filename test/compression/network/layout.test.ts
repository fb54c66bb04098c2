/**
 * The layout pass leaves no transposes inside networks: only the image at the input is moved, and what flattens it at
 * the end.
 */
import { beforeAll, expect, test } from 'vitest';
import { ARCHITECTURES } from '../../../bench/architecture-networks.ts';
import { NETWORKS } from '../../../bench/networks.ts';
import { readOnnx } from '../../../src/compression/formats/onnx/read.ts';
import { lowerOrThrow } from '../../../src/compression/network/lower.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

/** Moved: the image of three channels; of LeNet-5, the map that Flatten reads in ONNX's order. */
const MOVED: Record<(typeof NETWORKS)[number]['name'] | (typeof ARCHITECTURES)[number]['name'], number> = {
  'lenet-300-100': 0,
  'lenet-5': 1,
  'resnet-20': 1,
  'mobilenet-v2': 1,
  'resnet-18': 1,
  transformer: 0,
  lstm: 0,
};

test.each([...NETWORKS, ...ARCHITECTURES].map(({ name, onnx }) => [name, onnx] as const))('%s', (name, onnx) => {
  const network = lowerOrThrow(readOnnx(onnx())) as ReturnType<typeof lowerOrThrow> & { readonly transposes: number };
  expect(network.transposes).toBe(MOVED[name]);
  network.dispose();
});
