import { expect, test } from 'vitest';
import { childEnvironment } from './environment.ts';

test('a child finds programs and caches, and sees no secret', () => {
  const environment = {
    PATH: '/bin',
    LATHE_ENGINE: 'wasm',
    LATHE_KERNELS: 'plain',
    LATHE_API_KEY: 'k',
    LATHE_SECRET: 's',
    DATABASE_URL: 'd',
    REDIS_URL: 'r',
    AWS_SECRET_ACCESS_KEY: 'a',
  };
  expect(childEnvironment(environment)).toEqual({ PATH: '/bin', LATHE_ENGINE: 'wasm', LATHE_KERNELS: 'plain' });
});
