/**
 * Rank 0 of the host transport: one stream to each replica, a star. It adds what they send and sends the sum back, so
 * that the order of additions is fixed. When a replica is gone, what the others have sent for the call in progress is
 * dropped: either every living rank gets a call's result, or none does.
 */
import type { Duplex } from 'node:stream';
import { MembersChanged, ReplicaLost, type Collective, type SummableArray } from './collective.ts';
import { arrayOf, bytesOf, elementsOf, readFrames, writeFrame, type Frame } from './frames.ts';

/** What becomes of the group when a replica is gone: every call fails, or those that live go on. */
export type LossRule = 'fail' | 'shrink';

interface Member {
  readonly stream: Duplex;
  /** Rank at the start; its present one is its place in the list. */
  readonly firstRank: number;
  values: Frame[];
}

/** The end of a process tells more than the end of its stream, and comes a little later. */
const CLOSE_GRACE_MS = 500;

export class HostLeader implements Collective {
  readonly rank = 0;
  readonly #onLoss: LossRule;
  #members: Member[];
  #group = 0;
  #hasChanged = false;
  #failure: Error | null = null;
  #wake: () => void = () => undefined;

  /** @param streams to ranks 1, 2... */
  constructor(streams: readonly Duplex[], onLoss: LossRule) {
    this.#onLoss = onLoss;
    this.#members = streams.map((stream, i): Member => ({ stream, firstRank: i + 1, values: [] }));
    for (const member of this.#members) {
      readFrames(member.stream, (frame) => this.#receive(member, frame));
      member.stream.on('error', () => undefined); // 'close' follows
      member.stream.once('close', () =>
        setTimeout(() => this.lose(member.firstRank, 'its connection closed'), CLOSE_GRACE_MS),
      );
    }
  }

  get size(): number {
    return this.#members.length + 1;
  }

  /** The replica that had this rank at the start is gone. Does nothing if that is known. */
  lose(firstRank: number, detail: string): void {
    const rank = 1 + this.#members.findIndex((member) => member.firstRank === firstRank);
    if (rank === 0 || this.#failure) return;
    if (this.#onLoss === 'fail') this.abort(new ReplicaLost(firstRank, detail));
    else this.#shrink(firstRank);
  }

  /** The call in progress and all later ones of this rank fail with this error. */
  abort(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  #shrink(firstRank: number): void {
    this.#members = this.#members.filter((member) => member.firstRank !== firstRank);
    this.#group++;
    this.#hasChanged = true;
    this.#members.forEach((member, i) => {
      member.values = [];
      const payload = new Uint8Array(Uint32Array.of(i + 1, this.size).buffer);
      void writeFrame(member.stream, { kind: 'members', group: this.#group, elements: 'bytes', payload });
    });
    this.#wake();
  }

  async sum<A extends SummableArray>(values: A): Promise<A> {
    const total = values.slice() as A;
    for (const [i, frame] of (await this.#contributions()).entries())
      add(total, arrayOf(frame, values, `replica ${this.#members[i]?.firstRank}`));
    await this.#send(elementsOf(total), bytesOf(total));
    return total;
  }

  async broadcast(bytes: Uint8Array): Promise<Uint8Array> {
    this.#check();
    await this.#send('bytes', bytes);
    return bytes;
  }

  async barrier(): Promise<void> {
    await this.sum(new Float32Array());
  }

  #receive(member: Member, frame: Frame): void {
    if (frame.group !== this.#group) return;
    member.values.push(frame);
    this.#wake();
  }

  /** What each member adds to the call in progress. */
  async #contributions(): Promise<Frame[]> {
    for (;;) {
      this.#check();
      const frames = this.#members.flatMap(({ values }) => values.slice(0, 1));
      if (frames.length === this.#members.length) {
        for (const { values } of this.#members) values.shift();
        return frames;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #check(): void {
    if (this.#failure) throw this.#failure;
    if (!this.#hasChanged) return;
    this.#hasChanged = false;
    throw new MembersChanged(this.size);
  }

  /** Waits until it is sent: the caller may go on with a call that holds the event loop until the others answer. */
  async #send(elements: Frame['elements'], payload: Uint8Array): Promise<void> {
    const group = this.#group;
    await Promise.all(
      this.#members.map(({ stream }) => writeFrame(stream, { kind: 'result', group, elements, payload })),
    );
  }
}

function add(total: SummableArray, values: SummableArray): void {
  for (let i = 0; i < total.length; i++) total[i]! += values[i]!;
}
