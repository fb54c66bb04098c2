import { expect, test } from 'vitest';
import { startEngine, type EngineChoice } from './engine.ts';

test('an engine that does not exist is refused with the names of those that do', async () => {
  const started = startEngine('webgpu' as EngineChoice);
  await expect(started).rejects.toMatchObject({
    code: 'unavailable',
    message: 'There is no engine "webgpu": set LATHE_ENGINE to auto, tensorflow, wasm',
  });
});
