/** The end of what a child prints: where it fails, the reason is there. */
import type { Readable } from 'node:stream';

/**
 * Reads `stream` to its end and keeps the last `maxLength` characters.
 * @returns what is kept so far
 */
export function tailOf(stream: Readable, maxLength: number): () => string {
  let tail = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    tail = (tail + text).slice(-maxLength);
  });
  return () => tail;
}
