/**
 * Child of `lathe doctor` and of the supervisor, which never load an engine themselves. Prints, on the last line, what
 * the engine is: findings for people, or with `--engine` the engine itself. Where none starts: exit code 1, with the
 * reason on stderr.
 */
import { engineFindings } from '../src/compression/tensor/probe.ts';
import { startEngine } from '../src/compression/tensor/engine.ts';
import { readVariable } from '../src/config/read.ts';

try {
  const choice = readVariable(process.env, 'LATHE_ENGINE');
  const said = process.argv.includes('--engine') ? await startEngine(choice) : await engineFindings(choice);
  process.stdout.write(`\n${JSON.stringify(said)}\n`, () => process.exit(0));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`, () => process.exit(1));
}
