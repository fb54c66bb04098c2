/**
 * Values on a stream: the length of a header (uint32, little-endian), the header (JSON), then each value's elements as
 * they lie in memory. Both ends are processes of one machine, or of machines with one byte order.
 */
import type { Duplex } from 'node:stream';
import type { HostData } from '../../ir/host-tensor.ts';
import type { DataType } from '../../ir/types.ts';
import type { Values } from '../../network/stages/stage.ts';
import type { Value } from '../../operators/operator.ts';
import { tf } from '../../tensor/tf.ts';
import type { Address } from './link.ts';

export interface Message {
  readonly address: Address;
  readonly values: Values;
}

const ARRAYS = {
  Float32Array,
  Float64Array,
  Int8Array,
  Int16Array,
  Int32Array,
  Uint8Array,
  Uint16Array,
  Uint32Array,
  BigInt64Array,
  BigUint64Array,
} as const;
type ArrayName = keyof typeof ARRAYS;

interface Item {
  readonly name: string;
  readonly kind: Value['kind'];
  readonly dtype: DataType;
  readonly dims: readonly number[];
  /** 'strings': in the header itself. */
  readonly array: ArrayName | 'strings';
  readonly bytes: number;
  readonly strings?: readonly string[];
}

interface Header {
  readonly address: Address;
  readonly items: readonly Item[];
}

/** Reads device values from the device. */
export async function writeMessage(to: Duplex, { address, values }: Message): Promise<void> {
  const encoded = await Promise.all([...values].map(([name, value]) => encode(name, value)));
  const header = Buffer.from(JSON.stringify({ address, items: encoded.map(({ item }) => item) } satisfies Header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  to.cork();
  for (const chunk of [length, header, ...encoded.map(({ data }) => data)]) if (chunk.length > 0) to.write(chunk);
  to.uncork();
}

async function encode(name: string, value: Value): Promise<{ item: Item; data: Uint8Array }> {
  if (value.kind === 'device') {
    const data = await value.tensor.data();
    return itemOf({ name, kind: 'device', dtype: value.dtype, dims: value.tensor.shape }, data as HostData);
  }
  const { dtype, dims, data } = value.value;
  return itemOf({ name, kind: 'host', dtype, dims }, data);
}

function itemOf(
  about: Pick<Item, 'name' | 'kind' | 'dtype' | 'dims'>,
  data: HostData,
): { item: Item; data: Uint8Array } {
  if (!ArrayBuffer.isView(data))
    return { item: { ...about, array: 'strings', bytes: 0, strings: data }, data: new Uint8Array() };
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { item: { ...about, array: data.constructor.name as ArrayName, bytes: bytes.length }, data: bytes };
}

/** The messages that arrive on a stream, in order. @throws Error where the stream ends within one */
export async function* readMessages(from: Duplex): AsyncGenerator<Message> {
  const reader = new StreamReader(from);
  for (;;) {
    const length = await reader.take(4);
    if (!length) return;
    const text = await reader.need(Buffer.from(length.buffer, length.byteOffset, 4).readUInt32LE());
    const { address, items } = JSON.parse(Buffer.from(text).toString()) as Header;
    const values = new Map<string, Value>();
    for (const item of items) values.set(item.name, decode(item, await reader.need(item.bytes)));
    yield { address, values };
  }
}

/** @param bytes a buffer of their own */
function decode({ kind, dtype, dims, array, strings }: Item, bytes: Uint8Array<ArrayBuffer>): Value {
  const data: HostData = array === 'strings' ? (strings ?? []) : new ARRAYS[array](bytes.buffer);
  if (kind === 'host') return { kind, value: { dtype, dims, data } };
  const engineType = array === 'Float32Array' ? 'float32' : array === 'Int32Array' ? 'int32' : 'bool';
  return { kind, dtype, tensor: tf.tensor(data as Float32Array, [...dims], engineType) };
}

/** Takes a stream's bytes in pieces of given lengths. */
class StreamReader {
  private readonly chunks: AsyncIterator<Buffer>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(from: Duplex) {
    this.chunks = (from as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** null where the stream has ended before the first byte. */
  async take(length: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const whole = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      if (this.rest.length === 0) {
        const next = await this.chunks.next();
        if (next.done) {
          if (filled === 0) return null;
          throw new Error('The stream of a part ended within a message');
        }
        this.rest = next.value;
      }
      const taken = this.rest.subarray(0, length - filled);
      this.rest = this.rest.subarray(taken.length);
      whole.set(taken, filled);
      filled += taken.length;
    }
    return whole;
  }

  async need(length: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.take(length);
    if (!bytes) throw new Error('The stream of a part ended within a message');
    return bytes;
  }
}
