/** Between the stages of several processes: a stream to each other part. */
import type { Duplex } from 'node:stream';
import type { Values } from '../../network/stages/stage.ts';
import { keyOf, LocalLink, type Address, type Link } from './link.ts';
import { readMessages, writeMessage } from './messages.ts';
import { tf } from '../../tensor/tf.ts';

interface Waiting {
  resolve(values: Values): void;
  reject(reason: Error): void;
}

/**
 * What arrives waits until it is asked for, so that passes may come in any order. A stream that ends makes every call
 * that waits or comes later fail with the part's number: never a hang.
 */
export class StreamLink implements Link {
  private readonly own = new LocalLink();
  private readonly arrived = new Map<string, Values>();
  private readonly waiting = new Map<string, Waiting>();
  private readonly partOf: readonly number[];
  private readonly part: number;
  private readonly streams: ReadonlyMap<number, Duplex>;
  private failure: Error | null = null;

  /**
   * @param part the one of this process
   * @param partOf by stage
   * @param streams by other part
   */
  constructor(part: number, partOf: readonly number[], streams: ReadonlyMap<number, Duplex>) {
    this.part = part;
    this.partOf = partOf;
    this.streams = streams;
    for (const [other, stream] of streams) {
      stream.on('error', (error) => this.fail(other, error.message));
      void this.listen(other, stream);
    }
  }

  async send(address: Address, values: Values): Promise<void> {
    const other = this.partOf[address.to];
    if (other === this.part) return this.own.send(address, values);
    if (this.failure) throw this.failure;
    const stream = this.streams.get(other ?? -1);
    if (!stream) throw new Error(`Part ${this.part} has no stream to stage ${address.to}`);
    await writeMessage(stream, { address, values });
    for (const value of values.values()) if (value.kind === 'device') tf.dispose(value.tensor);
  }

  async receive(address: Address): Promise<Values> {
    if (this.partOf[address.from] === this.part) return this.own.receive(address);
    const key = keyOf(address);
    const values = this.arrived.get(key);
    this.arrived.delete(key);
    if (values) return values;
    if (this.failure) throw this.failure;
    return new Promise((resolve, reject) => this.waiting.set(key, { resolve, reject }));
  }

  private async listen(other: number, stream: Duplex): Promise<void> {
    try {
      for await (const { address, values } of readMessages(stream)) this.take(keyOf(address), values);
      this.fail(other, 'its stream has ended');
    } catch (error) {
      this.fail(other, error instanceof Error ? error.message : String(error));
    }
  }

  private take(key: string, values: Values): void {
    const waiting = this.waiting.get(key);
    this.waiting.delete(key);
    if (waiting) waiting.resolve(values);
    else this.arrived.set(key, values);
  }

  private fail(part: number, detail: string): void {
    this.failure ??= new Error(`Part ${part} of the model is gone: ${detail}`);
    for (const { reject } of this.waiting.values()) reject(this.failure);
    this.waiting.clear();
  }
}
