import { expect, test } from 'vitest';
import { startEngine } from './engine.ts';
import { joinSharedGroup } from './shared-group.ts';

test('WebAssembly has no shared groups, and says what has', async () => {
  await startEngine('wasm');
  expect(() => joinSharedGroup({ path: '/dev/shm/none', rank: 0, size: 1 })).toThrow(
    'Shared groups need the TensorFlow engine on the CPU ("npm run setup" builds it)',
  );
});
