/**
 * `conformance [--failures] [--unsupported] DIR...`: runs the cases, ends with one line of JSON. Exit status 1 where a
 * case failed.
 */
import { findCases, runCase, type CaseResult } from '../src/compression/agreement/conformance.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { readVariable } from '../src/config/read.ts';

interface Count {
  passed: number;
  failed: number;
  unsupported: number;
}

function summary(results: readonly CaseResult[]): Count & { byOperator: Record<string, Count> } {
  const total = { passed: 0, failed: 0, unsupported: 0 };
  const byOperator: Record<string, Count> = {};
  for (const { verdict, operators } of results) {
    total[verdict.kind]++;
    for (const type of operators) (byOperator[type] ??= { passed: 0, failed: 0, unsupported: 0 })[verdict.kind]++;
  }
  return { ...total, byOperator: Object.fromEntries(Object.entries(byOperator).sort(([a], [b]) => (a < b ? -1 : 1))) };
}

const flags = new Set(process.argv.slice(2).filter((argument) => argument.startsWith('--')));
const folders = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (folders.length === 0) {
  process.stderr.write('usage: conformance [--failures] [--unsupported] DIR...\n');
  process.exit(2);
}
const engine = await startEngine(readVariable(process.env, 'LATHE_ENGINE'));
process.stderr.write(`engine: ${engine.name} ${engine.version} (${engine.reason})\n`);
const results: CaseResult[] = [];
for (const folder of findCases(folders)) {
  const result = runCase(folder);
  results.push(result);
  const { kind } = result.verdict;
  const listed =
    (kind === 'failed' && flags.has('--failures')) ||
    (kind === 'unsupported' && (flags.has('--failures') || flags.has('--unsupported')));
  if (listed && 'reason' in result.verdict) process.stdout.write(`${kind} ${result.name}: ${result.verdict.reason}\n`);
}
const counts = summary(results);
process.stdout.write(`${JSON.stringify(counts)}\n`);
process.exit(counts.failed > 0 ? 1 : 0);
