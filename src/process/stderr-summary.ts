/** What TensorFlow says of itself as it starts: nothing about an end. */
const STARTUP_NOISE = /^([IW]\d{4} |\d{4}-\d{2}-\d{2} [\d:.]+: [IW] |WARNING: All log messages before)/;
const MAX_LENGTH = 300;

/** The last line of a process's error output that may say why it ended; '' where there is none. */
export function stderrSummary(stderr: string): string {
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => !STARTUP_NOISE.test(line));
  return lines.at(-1)?.slice(0, MAX_LENGTH) ?? '';
}
