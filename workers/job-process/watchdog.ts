/**
 * Worker thread of the job process: ends the whole process group when the supervisor is gone. The main thread may be
 * inside a native call for seconds, where neither a signal handler nor an IPC event would run.
 */
import { workerData } from 'node:worker_threads';

const POLL_MS = 250;
const { parent } = workerData as { parent: number };

setInterval(() => {
  if (process.ppid === parent) return;
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}, POLL_MS);
