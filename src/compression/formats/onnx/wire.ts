/**
 * The protobuf wire format, reading and writing, for untrusted input: every length is checked against its message, and
 * nesting and the number of messages are limited before memory is spent on them. Source:
 * protobuf.dev/programming-guides/encoding.
 */
import { LatheError } from '../../../errors.ts';

/** A large network has some 10,000 nodes with 5 messages each. Decoded messages cost up to some 500 bytes each. */
const MAX_MESSAGES = 1_000_000;
const MAX_DEPTH = 100;

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

/** The budget that is left for one file. */
export interface Budget {
  messages: number;
}

/**
 * Reads one message field by field: `while (reader.next()) switch (reader.field) { ... }`; each case consumes the
 * field's value once.
 */
export class MessageReader {
  field = 0;
  wire = 0;
  readonly bytes: Uint8Array;
  private readonly describe: () => string;
  private readonly budget: Budget;
  private readonly depth: number;
  private position = 0;
  private start = 0;

  /** `describe` names the message in errors (called only then). */
  constructor(bytes: Uint8Array, describe: () => string, budget: Budget = { messages: MAX_MESSAGES }, depth = 0) {
    this.bytes = bytes;
    this.describe = describe;
    this.budget = budget;
    this.depth = depth;
    if (--budget.messages < 0) throw this.error(`more than ${MAX_MESSAGES} protobuf messages`);
    if (depth > MAX_DEPTH) throw this.error(`messages nested deeper than ${MAX_DEPTH}`);
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.position >= this.bytes.length) return false;
    this.start = this.position;
    const tag = this.unsigned();
    this.field = Math.floor(tag / 8);
    this.wire = tag % 8;
    if (this.field === 0 || tag > 0xffffffff) throw this.error('a field number that protobuf does not have');
    return true;
  }

  /** The whole field as in the file, tag included. */
  record(): Uint8Array {
    this.skip();
    return this.consumed();
  }

  /** The field just read, as in the file. */
  consumed(): Uint8Array {
    return this.bytes.subarray(this.start, this.position);
  }

  /** int32, int64, enum, bool; beyond 2^53 it saturates to the nearest safe integer. */
  int(): number {
    this.expect(VARINT);
    return this.signed();
  }

  float(): number {
    this.expect(FIXED32);
    return this.fixed32();
  }

  /** A view on the file. */
  payload(): Uint8Array {
    this.expect(LENGTH_DELIMITED);
    const length = this.unsigned();
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  text(): string {
    const bytes = this.payload();
    if (--this.budget.messages < 0) throw this.error(`more than ${MAX_MESSAGES} protobuf messages`);
    return decodeText(bytes) ?? fail(this.error(`field ${this.field} is not valid UTF-8`));
  }

  message(describe: () => string): MessageReader {
    return new MessageReader(this.payload(), describe, this.budget, this.depth + 1);
  }

  /** A reader of the same message from its start. */
  again(): MessageReader {
    return new MessageReader(this.bytes, this.describe, this.budget, this.depth);
  }

  /** One repeated integer field, packed or not, appended to `target`; at most `most` in all. */
  ints(target: number[], maxCount = Infinity): void {
    this.repeated(VARINT, maxCount - target.length, (reader) => target.push(reader.signed()));
  }

  floats(target: number[]): void {
    this.repeated(FIXED32, Infinity, (reader) => target.push(reader.fixed32()));
  }

  /**
   * One repeated varint field: each as its low and high 32 bits (negative numbers of either width are extended to 64).
   */
  varints(each: (low: number, high: number) => void): void {
    this.repeated(VARINT, Infinity, (reader) => {
      reader.varint();
      each(low, high);
    });
  }

  /** The payload of a packed field, otherwise one element's bytes. */
  fixed(wire: typeof FIXED32 | typeof FIXED64): Uint8Array {
    if (this.wire === LENGTH_DELIMITED) return this.payload();
    this.expect(wire);
    const length = wire === FIXED32 ? 4 : 8;
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  error(message: string): LatheError {
    const place = this.describe();
    return new LatheError('malformed-model', `${place}: ${message} (byte ${this.position} of ${this.bytes.length})`, [
      { path: place, message },
    ]);
  }

  private fixed32(): number {
    const start = this.take(4);
    for (let i = 0; i < 4; i++) floatBytes[i] = this.bytes[start + i]!;
    return floatView.getFloat32(0, true);
  }

  private repeated(wire: number, maxCount: number, each: (reader: MessageReader) => void): void {
    if (this.wire === wire) {
      if (maxCount < 1) throw this.error(`field ${this.field} has too many elements`);
      each(this);
      return;
    }
    this.expect(LENGTH_DELIMITED);
    const length = this.unsigned();
    const end = this.take(length) + length;
    this.position = end - length;
    for (let count = 0; this.position < end; count++) {
      if (count >= maxCount) throw this.error(`field ${this.field} has too many elements`);
      each(this);
    }
    if (this.position !== end) throw this.error(`field ${this.field} ends inside an element`);
  }

  private skip(): void {
    if (this.wire === VARINT) this.varint();
    else if (this.wire === FIXED64) this.take(8);
    else if (this.wire === LENGTH_DELIMITED) this.take(this.unsigned());
    else if (this.wire === FIXED32) this.take(4);
    else throw this.error(`wire type ${this.wire} in field ${this.field}, which protobuf no longer has`);
  }

  private expect(wire: number): void {
    if (this.wire !== wire) throw this.error(`field ${this.field} has wire type ${this.wire} instead of ${wire}`);
  }

  /** Start of the next `length` bytes, which are consumed. */
  private take(length: number): number {
    const start = this.position;
    if (length > this.bytes.length - start)
      throw this.error(`field ${this.field} reaches ${length - (this.bytes.length - start)} bytes beyond its message`);
    this.position += length;
    return start;
  }

  /** A length or tag. */
  private unsigned(): number {
    this.varint();
    return high * 4294967296 + low;
  }

  private signed(): number {
    this.varint();
    const value = (high | 0) * 4294967296 + low;
    return Math.min(Math.max(value, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  }

  /** Leaves the value in `low` and `high` (unsigned 32-bit halves). */
  private varint(): void {
    low = high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.position >= this.bytes.length) throw this.error('the file ends inside a number');
      const byte = this.bytes[this.position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        low >>>= 0;
        high >>>= 0;
        return;
      }
    }
    throw this.error('a number of more than 64 bits');
  }
}
let low = 0;
let high = 0;
const floatBytes = new Uint8Array(4);
const floatView = new DataView(floatBytes.buffer);

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The string, or undefined where the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function fail(error: Error): never {
  throw error;
}

/** Writes one message as a list of chunks, so that large payloads are copied once, at the end. */
export class MessageWriter {
  length = 0;
  private readonly chunks: Uint8Array[] = [];

  /** Copies a record of a file. */
  raw(record: Uint8Array): this {
    if (record.length > 0) this.chunks.push(record);
    this.length += record.length;
    return this;
  }

  int(field: number, value: number | bigint): this {
    return this.raw(varintBytes(field * 8 + VARINT)).raw(varintBytes(value));
  }

  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.raw(varintBytes(field * 8 + FIXED32)).raw(bytes);
  }

  payload(field: number, bytes: Uint8Array): this {
    return this.raw(varintBytes(field * 8 + LENGTH_DELIMITED))
      .raw(varintBytes(bytes.length))
      .raw(bytes);
  }

  text(field: number, text: string): this {
    return this.payload(field, new TextEncoder().encode(text));
  }

  message(field: number, message: MessageWriter): this {
    this.raw(varintBytes(field * 8 + LENGTH_DELIMITED)).raw(varintBytes(message.length));
    for (const chunk of message.chunks) this.chunks.push(chunk);
    this.length += message.length;
    return this;
  }

  /** Repeated integers: one record each, as ONNX's proto2 schema writes attributes. */
  ints(field: number, values: readonly number[]): this {
    for (const value of values) this.int(field, value);
    return this;
  }

  floats(field: number, values: readonly number[]): this {
    for (const value of values) this.float(field, value);
    return this;
  }

  finish(): Uint8Array {
    return concatenate(this.chunks);
  }
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

function varintBytes(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  if (typeof value === 'bigint' || value < 0) {
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
    bytes.push(Number(rest));
  } else {
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}
