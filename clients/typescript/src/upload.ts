/** Files as request bodies, streamed from disk. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { ReadableStream } from 'node:stream/web';

/** Told the bytes of the file sent so far, and its size. */
export type OnProgress = (sentBytes: number, totalBytes: number) => void;

export interface UploadOptions {
  /** What the service lists it as; default: the file's name. */
  readonly name?: string;
  /** Of a csv dataset: the column to predict. */
  readonly target?: string;
  /**
   * "raw" (default) declares the file's size, so that one over the limit is refused before it is sent; "multipart" is
   * for proxies that let nothing else through.
   */
  readonly encoding?: 'raw' | 'multipart';
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
}

/**
 * What to POST.
 * @throws Error of the file system where the file cannot be read
 */
export async function uploadRequest(file: string, options: UploadOptions) {
  const { name = basename(file), target, encoding = 'raw', onProgress = () => {}, signal } = options;
  const { size } = await stat(file);
  const content = readFile(file, size, onProgress);
  return {
    ...(encoding === 'raw'
      ? bodyOf(content, size, 'application/octet-stream')
      : multipart(basename(file), content, size)),
    params: { query: { name, target } },
    bodySerializer: (body: unknown) => body,
    duplex: 'half' as const,
    signal,
  };
}

/** The content as the field "file" of multipart/form-data (RFC 7578). */
function multipart(name: string, content: AsyncIterable<Uint8Array>, size: number) {
  const boundary = `lathe-${randomUUID()}`;
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${quotable(name)}"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  );
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  const bytes = head.length + size + tail.length;
  return bodyOf(between(head, content, tail), bytes, `multipart/form-data; boundary=${boundary}`);
}

function bodyOf(chunks: AsyncIterable<Uint8Array>, bytes: number, type: string) {
  const body = ReadableStream.from<Uint8Array>(chunks);
  return { body, headers: { 'content-type': type, 'content-length': String(bytes) } };
}

async function* readFile(file: string, size: number, onProgress: OnProgress): AsyncGenerator<Uint8Array> {
  let sent = 0;
  for await (const chunk of createReadStream(file) as AsyncIterable<Uint8Array>) {
    yield chunk;
    onProgress((sent += chunk.length), size);
  }
}

async function* between(
  head: Uint8Array,
  content: AsyncIterable<Uint8Array>,
  tail: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield head;
  yield* content;
  yield tail;
}

/** A file's name within the quotes of a part's header, as browsers write it (WHATWG, multipart/form-data encoding). */
const quotable = (name: string): string => name.replace(/\r\n|\r|\n/g, '%0D%0A').replaceAll('"', '%22');
