/** A child that must not outlive the process that started it. */

/**
 * Calls `onOrphaned` once when this process's parent is gone. An IPC channel tells at once; the poll covers a parent
 * that closed it and then was killed.
 */
export function endWithParent(onOrphaned: () => void): void {
  const parent = process.ppid;
  let told = false;
  const tell = () => {
    if (told) return;
    told = true;
    onOrphaned();
  };
  if (process.connected) process.once('disconnect', tell);
  setInterval(() => {
    if (process.ppid !== parent) tell();
  }, 500).unref();
}
