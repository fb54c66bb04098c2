/**
 * Entries of a zip archive, each read by itself with one call from its place in the file: from any thread, in any
 * order, without a stream (PKWARE's APPNOTE 6.3.10, section 4.3.7).
 */
import { readSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { sharedDoubles, sharedInts, type FilesHandle } from './handles.ts';
import type { ZipEntry } from './zip.ts';

const SIGNATURE = 0x04034b50;
const HEADER_BYTES = 30;
/** Room for the extra field that archivers write; where it is longer, the entry is read again. */
const EXPECTED_EXTRA_BYTES = 64;
const STORED = 0;

/** @param file descriptor of the archive */
export function shareEntries(file: number, entries: readonly ZipEntry[]): FilesHandle {
  const raw = entries.map((entry) => entry.raw);
  return {
    file,
    offsets: sharedDoubles(raw.map((entry) => entry.relativeOffsetOfLocalHeader)),
    packed: sharedDoubles(raw.map((entry) => entry.compressedSize)),
    unpacked: sharedDoubles(raw.map((entry) => entry.uncompressedSize)),
    names: sharedInts(raw.map((entry) => entry.fileNameLength)),
    methods: sharedInts(raw.map((entry) => entry.compressionMethod)),
  };
}

/** Reads an entry by its number. @throws Error where the archive is damaged there */
export function openEntries(handle: FilesHandle): (index: number) => Buffer {
  const [offsets, packed, unpacked] = [handle.offsets, handle.packed, handle.unpacked].map(
    (it) => new Float64Array(it),
  );
  const [names, methods] = [handle.names, handle.methods].map((it) => new Int32Array(it));
  return (index) => {
    const [offset, size] = [offsets![index]!, packed![index]!];
    const expected = HEADER_BYTES + names![index]! + EXPECTED_EXTRA_BYTES + size;
    const bytes = packedBytes(handle.file, offset, expected, size);
    return methods![index] === STORED ? bytes : unpackedBytes(bytes, unpacked![index]!);
  };
}

function packedBytes(file: number, offset: number, expected: number, size: number): Buffer {
  let bytes = readUpTo(file, offset, expected);
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== SIGNATURE)
    throw new Error('the archive has no file at its place');
  const start = HEADER_BYTES + bytes.readUInt16LE(26) + bytes.readUInt16LE(28);
  if (start + size > bytes.length) bytes = readUpTo(file, offset, start + size);
  if (start + size > bytes.length) throw new Error('the archive ends within it');
  return bytes.subarray(start, start + size);
}

/** Fewer bytes where the file ends. */
function readUpTo(file: number, offset: number, count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count);
  let done = 0;
  for (let read = -1; read !== 0 && done < count; done += read)
    read = readSync(file, bytes, done, count - done, offset + done);
  return bytes.subarray(0, done);
}

function unpackedBytes(packed: Buffer, size: number): Buffer {
  const bytes = inflateRawSync(packed, { maxOutputLength: Math.max(1, size) });
  if (bytes.length !== size) throw new Error(`it unpacks to ${bytes.length} bytes, not ${size}`);
  return bytes;
}
