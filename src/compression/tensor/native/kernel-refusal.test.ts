import { expect, test } from 'vitest';
import { startEngine } from '../engine.ts';

test('kernels that do not exist here are refused, whatever the engine', async () => {
  process.env['LATHE_KERNELS'] = 'sse9';
  await expect(startEngine('auto')).rejects.toThrow(/LATHE_KERNELS is "sse9"; this processor runs .*(plain|neon)/);
});
