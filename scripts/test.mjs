/**
 * `npm test`: set-up, types and lint, every test (or those whose path contains an argument). The first line names the
 * processor, the last one counts all of it: `N passed, N failed, N skipped`.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setupOrExit } from './setup.mjs';
import { lint } from './lint.mjs';
import { root, runNode } from './lib/built.mjs';

console.log(
  `processor: ${cpus()[0]?.model.trim() ?? process.arch} (${instructionSets().join(', ') || process.arch}), ` +
    `${cpus().length} cores`,
);
await setupOrExit();
const filters = process.argv.slice(2);
const checks = await lint();
const tests = await runTests();
for (const { name, ok } of checks) console.log(`${ok ? 'passed' : 'FAILED'}: ${name}`);
const passed = tests.passed + checks.filter(({ ok }) => ok).length;
const failed = tests.failed + checks.filter(({ ok }) => !ok).length;
console.log(`${passed} passed, ${failed} failed, ${tests.skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;

/** Those that kernels are chosen by, as Linux names them. */
function instructionSets() {
  const flags = existsSync('/proc/cpuinfo')
    ? (readFileSync('/proc/cpuinfo', 'utf8').match(/^(?:flags|Features)\s*:.*$/m)?.[0] ?? '')
    : '';
  return [
    'avx2',
    'fma',
    'avx512f',
    'avx512bw',
    'avx512_vnni',
    'avx_vnni',
    'amx_int8',
    'asimd',
    'asimddp',
    'i8mm',
  ].filter((name) => flags.split(/\s+/).includes(name));
}

async function runTests() {
  const folder = mkdtempSync(join(tmpdir(), 'lathe-tests-'));
  const results = join(folder, 'results.json');
  try {
    const code = await runNode([
      join(root, 'node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--root',
      root,
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${results}`,
      ...filters,
    ]);
    return count(results, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A file that could not be loaded, and a run that ended badly without a failed test, count as a failure each. */
function count(results, code) {
  let report;
  try {
    report = JSON.parse(readFileSync(results, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const states = report.testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const brokenFiles = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((result) => result.status === 'failed'),
  ).length;
  const passed = states.filter((state) => state === 'passed').length;
  const failed = states.filter((state) => state === 'failed').length + brokenFiles;
  return {
    passed,
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: states.length - passed - (failed - brokenFiles),
  };
}
