import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitForExit } from './liveness.ts';

const CHILD = `
  import { endWithParent } from './end-with-parent.mjs';
  endWithParent(() => process.exit(0));
  process.send('up');
  setInterval(() => {}, 1000);`;
/** Sends its child's id on, once the child runs; 'closed': only after it closed its channel to it. */
const PARENT = `
  import { fork } from 'node:child_process';
  const child = fork(process.argv[2]);
  child.once('message', () => {
    if (process.argv[3] === 'closed') child.disconnect();
    process.send(child.pid);
  });`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-orphan-'));
  const source = readFileSync(new URL('./end-with-parent.ts', import.meta.url), 'utf8');
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  writeFileSync(join(folder, 'end-with-parent.mjs'), ts.transpileModule(source, { compilerOptions }).outputText);
  writeFileSync(join(folder, 'child.mjs'), CHILD);
  writeFileSync(join(folder, 'parent.mjs'), PARENT);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('a child ends with a parent that is killed', async () => {
  const parent = fork(join(folder, 'parent.mjs'), [join(folder, 'child.mjs'), 'open']);
  const [pid] = (await once(parent, 'message')) as [number];
  expect(await waitForExit(pid, 700)).toBe(false);
  parent.kill('SIGKILL');
  expect(await waitForExit(pid, 3000)).toBe(true);
});

test('a closed channel tells at once', async () => {
  const parent = fork(join(folder, 'parent.mjs'), [join(folder, 'child.mjs'), 'closed']);
  const [pid] = (await once(parent, 'message')) as [number];
  expect(await waitForExit(pid, 3000)).toBe(true);
  parent.kill('SIGKILL');
});
