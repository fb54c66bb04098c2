import { expect, test } from 'vitest';
import { ConfigError, readVariable, readVariables } from './read.ts';

test('gives each variable its type, and its default where it is blank', () => {
  expect(
    readVariables({ LATHE_PORT: ' 9000 ', LATHE_TRUST_PROXY: 'true', LATHE_POOLS: 'cpu, gpu', LATHE_SLOTS: '  ' }, [
      'LATHE_PORT',
      'LATHE_TRUST_PROXY',
      'LATHE_POOLS',
      'LATHE_SLOTS',
      'LATHE_THREADS',
    ]),
  ).toEqual({
    LATHE_PORT: 9000,
    LATHE_TRUST_PROXY: true,
    LATHE_POOLS: ['cpu', 'gpu'],
    LATHE_SLOTS: 1,
    LATHE_THREADS: undefined,
  });
});

test.each([
  ['LATHE_SLOTS', 'two', 'LATHE_SLOTS is "two"; it must be a number above 0'],
  ['LATHE_SLOTS', '0', 'LATHE_SLOTS is "0"; it must be a number above 0'],
  ['LATHE_SLOTS', 'Infinity', 'LATHE_SLOTS is "Infinity"; it must be a number above 0'],
  ['LATHE_PORT', '1.5', 'LATHE_PORT is "1.5"; it must be a whole number from 0 to 65535'],
  ['LATHE_POOLS', 'cpu,tpu', 'LATHE_POOLS is "cpu,tpu"; it can be cpu, gpu, several separated by commas'],
  ['LATHE_TRUST_PROXY', 'yes', 'LATHE_TRUST_PROXY is "yes"; it can be true, false'],
  ['LATHE_URL', 'localhost', 'LATHE_URL is "localhost"; it must be a URL that starts with http:// or https://'],
  ['LATHE_API_KEY', 'hunter2', expect.not.stringContaining('hunter2') as string],
] as const)('refuses %s=%s: the variable, its value and what is allowed', (name, value, problem) => {
  let thrown: unknown;
  try {
    readVariable({ [name]: value }, name);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ConfigError);
  expect((thrown as ConfigError).problems).toEqual([problem]);
});
