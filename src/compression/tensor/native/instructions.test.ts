/**
 * The addon runs on every processor of its architecture: what is not compiled for a set of instructions uses none
 * beyond the base.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { findEngineBuild } from './binding.ts';

const hasDisassembler = process.arch === 'x64' && spawnSync('objdump', ['--version']).status === 0;

test.skipIf(!hasDisassembler)('vectors wider than SSE are used in the functions of their set alone', async () => {
  const build = await findEngineBuild('cpu');
  const { stdout } = spawnSync('objdump', ['-d', '-C', '--no-show-raw-insn', build!.addon], {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
  });
  const functions = stdout.split('\n\n').map((section) => ({
    name: /<(.*)>:/.exec(section)?.[1] ?? '',
    widest: /%zmm/.test(section) ? 'zmm' : /%ymm/.test(section) ? 'ymm' : 'xmm',
  }));
  const of = (set: RegExp) => functions.filter(({ name }) => set.test(name));
  expect(functions.filter(({ name, widest }) => widest !== 'xmm' && !/lathe::avx(2|512)::/.test(name))).toEqual([]);
  expect(of(/^(?!.*lathe::avx512::).*lathe::avx2::/).filter(({ widest }) => widest === 'zmm')).toEqual([]);
  expect(of(/lathe::avx2::/).some(({ widest }) => widest === 'ymm')).toBe(true);
  expect(of(/lathe::avx512::/).some(({ widest }) => widest === 'zmm')).toBe(true);
});
