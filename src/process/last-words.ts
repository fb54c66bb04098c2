/** What TensorFlow says of itself as it starts: nothing about an end. */
const CHATTER = /^([IW]\d{4} |\d{4}-\d{2}-\d{2} [\d:.]+: [IW] |WARNING: All log messages before)/;
const LONGEST = 300;

/** The last line of a process's error output that may say why it ended; '' where there is none. */
export function lastWords(stderr: string): string {
  const lines = stderr
    .trim()
    .split('\n')
    .filter((line) => !CHATTER.test(line));
  return lines.at(-1)?.slice(0, LONGEST) ?? '';
}
