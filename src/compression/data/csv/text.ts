/** The text of a file: UTF-8, or UTF-16 with a byte order mark. */
import { createReadStream } from 'node:fs';
import { TextDecoder } from 'node:util';
import type { LatheError } from '../../../errors.ts';
import { malformedCsv } from './malformed.ts';

const LINE_FEED = 0x0a;

/**
 * Decodes a file in pieces.
 *
 * @throws LatheError `malformed-dataset` with line and column of the first byte that is no text
 */
export async function* readText(path: string): AsyncGenerator<string> {
  let decoder: TextDecoder | null = null;
  let lines = 1;
  let rest: Uint8Array = new Uint8Array();
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    decoder ??= new TextDecoder(encodingOf(chunk), { fatal: true });
    yield decodePiece(decoder, chunk, { lines, rest });
    if (decoder.encoding !== 'utf-8') continue;
    const lastLine = chunk.lastIndexOf(LINE_FEED) + 1;
    rest = lastLine > 0 ? chunk.subarray(lastLine) : Buffer.concat([rest, chunk]);
    lines += chunk.reduce((count, byte) => count + Number(byte === LINE_FEED), 0);
  }
  if (decoder) yield decodePiece(decoder, null, { lines, rest });
}

/** By the byte order mark, without which no UTF-16 is read. */
export function isUtf16(start: Uint8Array): boolean {
  return encodingOf(start) !== 'utf-8';
}

function encodingOf(start: Uint8Array): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : 'utf-8';
}

interface Place {
  /** Number of the line in which the piece begins, from 1. */
  readonly lines: number;
  /** That line's bytes before the piece. */
  readonly rest: Uint8Array;
}

function decodePiece(decoder: TextDecoder, chunk: Uint8Array | null, place: Place): string {
  try {
    return chunk ? decoder.decode(chunk, { stream: true }) : decoder.decode();
  } catch {
    if (decoder.encoding !== 'utf-8') throw malformedCsv('csv', `is no ${decoder.encoding} text`);
    throw invalidUtf8(Buffer.concat([place.rest, chunk ?? new Uint8Array()]), place.lines);
  }
}

function invalidUtf8(bytes: Buffer, firstLine: number): LatheError {
  let start = 0;
  for (let line = firstLine; start < bytes.length; line++) {
    const end = bytes.indexOf(LINE_FEED, start);
    const content = bytes.subarray(start, end < 0 ? bytes.length : end);
    const at = firstInvalid(content);
    if (at !== null) return noUtf8(`line ${line}`, content, at);
    start = end < 0 ? bytes.length : end + 1;
  }
  return malformedCsv('csv', 'the file ends within a character');
}

/** Index of the byte at which a line stops being UTF-8; null: it is. */
function firstInvalid(line: Uint8Array): number | null {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let at = 0; at < line.length; at++)
    try {
      decoder.decode(line.subarray(at, at + 1), { stream: true });
    } catch {
      return at;
    }
  try {
    decoder.decode();
    return null;
  } catch {
    return line.length - 1;
  }
}

/** The byte that the decoder refused may follow the one that is wrong: both stand in the text. */
function noUtf8(path: string, line: Buffer, at: number): LatheError {
  const start = line[at]! < 0x80 && at > 0 ? at - 1 : at;
  const before = line.toString('utf8', Math.max(0, start - 20), start);
  const byte = `0x${line[start]!.toString(16).toUpperCase()}`;
  return malformedCsv(
    path,
    `not UTF-8: byte ${byte} after "${before}"; save the file as UTF-8 (iconv -f LATIN1 -t UTF-8 FILE for Latin-1)`,
  );
}
