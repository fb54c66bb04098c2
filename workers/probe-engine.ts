/** Child of `lathe doctor` and of the supervisor: starts the engine, prints what it is as JSON findings on the last line. */
import { availableParallelism } from 'node:os';
import { engineFindings } from '../src/compression/tensor/probe.ts';
import type { EngineChoice } from '../src/compression/tensor/engine.ts';

const findings = await engineFindings((process.env.LATHE_ENGINE ?? 'auto') as EngineChoice, availableParallelism());
process.stdout.write(`\n${JSON.stringify(findings)}\n`, () => process.exit(0));
