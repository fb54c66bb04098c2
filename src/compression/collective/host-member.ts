/** A rank above 0 of the host transport: it talks to rank 0 alone. */
import type { Duplex } from 'node:stream';
import { MembersChanged, ReplicaLost, type Collective, type SummableArray } from './collective.ts';
import { arrayOf, bytesOf, elementsOf, readFrames, writeFrame, type Frame } from './frames.ts';

export class HostMember implements Collective {
  readonly #stream: Duplex;
  /** What rank 0 has sent, in order. */
  readonly #inbox: Frame[] = [];
  #rank: number;
  #size: number;
  #group = 0;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor(stream: Duplex, rank: number, size: number) {
    this.#stream = stream;
    this.#rank = rank;
    this.#size = size;
    readFrames(stream, (frame) => {
      this.#inbox.push(frame);
      this.#wake();
    });
    stream.on('error', () => undefined); // 'close' follows
    stream.once('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  get rank(): number {
    return this.#rank;
  }

  get size(): number {
    return this.#size;
  }

  async sum<A extends SummableArray>(values: A): Promise<A> {
    void writeFrame(this.#stream, {
      kind: 'values',
      group: this.#group,
      elements: elementsOf(values),
      payload: bytesOf(values),
    });
    return arrayOf(await this.#result(), values, 'rank 0');
  }

  async broadcast(): Promise<Uint8Array> {
    return (await this.#result()).payload;
  }

  async barrier(): Promise<void> {
    await this.sum(new Float32Array());
  }

  async #result(): Promise<Frame> {
    while (this.#inbox.length === 0) {
      if (this.#closed) throw new ReplicaLost(0, 'its connection closed');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const frame = this.#inbox.shift()!;
    if (frame.kind !== 'members') return frame;
    const [rank = 0, size = 0] = new Uint32Array(frame.payload.buffer as ArrayBuffer, 0, 2);
    [this.#rank, this.#size, this.#group] = [rank, size, frame.group];
    throw new MembersChanged(size);
  }
}
