/** Messages between two processes of a training over a stream: structured values, typed arrays included. */
import type { Duplex } from 'node:stream';
import { deserialize, serialize } from 'node:v8';
import { readFrames, writeFrame } from './frames.ts';

export interface Connection {
  /** Of the other side. */
  readonly name: string;
  send(message: unknown): void;
  /** Both are set once, at the start. */
  listen(onMessage: (message: unknown) => void, onClose: () => void): void;
}

/** @param stream to a process of the same job: what it sends is trusted */
export function connectionOver(stream: Duplex, name: string): Connection {
  stream.on('error', () => undefined); // 'close' follows
  return {
    name,
    send: (message) => {
      if (stream.destroyed) return;
      void writeFrame(stream, { kind: 'values', group: 0, elements: 'bytes', payload: serialize(message) });
    },
    listen: (onMessage, onClose) => {
      readFrames(stream, ({ payload }) => onMessage(deserialize(payload)));
      stream.once('close', onClose);
    },
  };
}
