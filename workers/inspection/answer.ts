/** How every inspecting child ends: it writes one JSON document to file descriptor 3 and exits. */
import { writeSync } from 'node:fs';
import type { ErrorCode } from '../../src/errors.ts';
import { failureOf, type InspectionMessage } from '../../src/inspection/protocol.ts';

const ANSWER_FD = 3;

/** @param fallback code of errors that carry none: the parser tripped over the file */
export async function answer<T>(work: () => Promise<T>, fallback: ErrorCode): Promise<never> {
  let message: InspectionMessage<T>;
  try {
    message = { result: await work() };
  } catch (error) {
    message = { error: failureOf(error, fallback) };
  }
  writeWhole(Buffer.from(JSON.stringify(message)));
  // an orderly exit waits for native threads, and one that runs an uploaded model may never end
  process.kill(process.pid, 'SIGKILL');
  return process.exit(0);
}

function writeWhole(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(ANSWER_FD, bytes, at);
}
