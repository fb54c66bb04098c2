import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ProcessEntry } from './entry.ts';
import { runLimited, type ChildLimits } from './limited-child.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-inspection-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LIMITS: ChildLimits = { memoryBytes: 600 * 2 ** 20, seconds: 10, maxOutputBytes: 1e6 };

function entry(script: string): ProcessEntry {
  const path = join(folder, `child-${Math.random().toString(36).slice(2)}.mjs`);
  writeFileSync(
    path,
    `import { writeSync } from 'node:fs'; const answer = (value) => writeSync(3, JSON.stringify(value));\n${script}`,
  );
  return { path, flags: [] };
}

describe('a limited child', () => {
  test('answers with JSON', async () => {
    expect(await runLimited(entry('answer({ args: process.argv.slice(2) })'), ['a', 'b c'], LIMITS)).toEqual({
      kind: 'answer',
      value: { args: ['a', 'b c'] },
    });
  });

  test('sees no secret of its parent', async () => {
    process.env.LATHE_API_KEY = 'secret';
    const outcome = await runLimited(entry('answer(Object.keys(process.env))'), [], LIMITS);
    delete process.env.LATHE_API_KEY;
    expect(outcome).toMatchObject({
      kind: 'answer',
      value: expect.not.arrayContaining(['LATHE_API_KEY', 'DATABASE_URL']) as unknown,
    });
  });

  test.each([
    ['ArrayBuffers', 'const kept = []; for (;;) kept.push(new Uint8Array(64 * 2 ** 20).fill(1))'],
    ['the JavaScript heap', 'const kept = []; for (;;) kept.push(new Array(1e6).fill({}).map(() => ({})))'],
    [
      'WASM memory',
      'const kept = []; for (;;) { const m = new WebAssembly.Memory({ initial: 1024 }); ' +
        'new Uint8Array(m.buffer).fill(1); kept.push(m); }',
    ],
  ])('is held to its memory limit: %s', async (_, script) => {
    expect((await runLimited(entry(script), [], LIMITS)).kind).toBe('out-of-memory');
  });

  test('is ended after its time, with all that it started', async () => {
    const started = Date.now();
    const outcome = await runLimited(
      entry(`
      import { spawn } from 'node:child_process'; spawn('sleep', ['60'], { stdio: 'inherit' }); for (;;);`),
      [],
      { ...LIMITS, seconds: 1 },
    );
    expect(outcome).toEqual({ kind: 'timeout' });
    expect(Date.now() - started).toBeLessThan(5000);
  });

  test('may not answer without end', async () => {
    const outcome = await runLimited(entry('for (;;) writeSync(3, "x".repeat(65536))'), [], LIMITS);
    expect(outcome.kind).toBe('crashed');
  });

  test('that crashes is told from one that answers', async () => {
    expect(await runLimited(entry('process.abort()'), [], LIMITS)).toEqual({ kind: 'crashed', reason: 'SIGABRT' });
    expect(await runLimited(entry('console.error("why"); process.exit(3)'), [], LIMITS)).toEqual({
      kind: 'failed',
      reason: 'exit code 3: why',
    });
  });
});
