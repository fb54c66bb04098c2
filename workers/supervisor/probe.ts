/** Finds out in a child process which engine jobs will run on, since the supervisor loads none. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { processEntry } from '../../src/process/entry.ts';
import { childEnvironment } from '../../src/process/environment.ts';

export interface ProbedEngine {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
  readonly devices: readonly string[];
  readonly gpu: boolean;
}

const TIMEOUT_MS = 60_000;

/** @throws Error with the engine's message, if none can start */
export async function probeEngine(): Promise<ProbedEngine> {
  const { path, flags } = processEntry('probe-engine');
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, path, '--engine'], {
    timeout: TIMEOUT_MS,
    maxBuffer: 2 ** 22,
    env: childEnvironment(),
  });
  const engine = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as ProbedEngine;
  return { ...engine, gpu: engine.gpu };
}
