/**
 * Frames of the host transport: 24 bytes of header (little-endian: kind, group, element type as uint32, 4 bytes unused,
 * the payload's length in bytes as float64), then the payload. Numbers travel as they lie in memory.
 */
import type { Duplex } from 'node:stream';
import type { SummableArray } from './collective.ts';

const KINDS = ['values', 'result', 'members'] as const;
const ELEMENTS = ['bytes', 'float32', 'float64'] as const;

export interface Frame {
  /** values: what a replica adds to a sum; result: of a call, from rank 0; members: the group has changed. */
  readonly kind: (typeof KINDS)[number];
  /** Counts the changes of the group: a replica's values for an earlier group are void. */
  readonly group: number;
  readonly elements: (typeof ELEMENTS)[number];
  readonly payload: Uint8Array;
}

const HEADER_BYTES = 24;

/** Resolves when the system has all of it, or the stream is broken, which its reader finds out. */
export function writeFrame(to: Duplex, { kind, group, elements, payload }: Frame): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(KINDS.indexOf(kind), 0);
  header.writeUInt32LE(group, 4);
  header.writeUInt32LE(ELEMENTS.indexOf(elements), 8);
  header.writeDoubleLE(payload.byteLength, 16);
  return new Promise((resolve) => {
    to.cork();
    to.write(header, payload.byteLength > 0 ? undefined : () => resolve());
    if (payload.byteLength > 0) to.write(payload, () => resolve());
    to.uncork();
  });
}

/** Calls `onFrame` with each frame that arrives on the stream. */
export function readFrames(from: Duplex, onFrame: (frame: Frame) => void): void {
  const header = Buffer.alloc(HEADER_BYTES);
  let headerFilled = 0;
  let payload: Uint8Array | null = null;
  let payloadFilled = 0;
  const finish = (whole: Uint8Array) => {
    [headerFilled, payload, payloadFilled] = [0, null, 0];
    onFrame({ ...readHeader(header), payload: whole });
  };
  from.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      if (headerFilled < HEADER_BYTES) {
        const taken = chunk.copy(header, headerFilled, at);
        headerFilled += taken;
        at += taken;
        if (headerFilled < HEADER_BYTES) return;
        payload = new Uint8Array(header.readDoubleLE(16));
        if (payload.length === 0) finish(payload);
        continue;
      }
      const whole = payload as unknown as Uint8Array;
      const taken = chunk.copy(whole, payloadFilled, at);
      payloadFilled += taken;
      at += taken;
      if (payloadFilled === whole.length) finish(whole);
    }
  });
}

function readHeader(header: Buffer): Omit<Frame, 'payload'> {
  const kind = KINDS[header.readUInt32LE(0)];
  const elements = ELEMENTS[header.readUInt32LE(8)];
  if (!kind || !elements) throw new Error('a replica sent a frame of unknown kind');
  return { kind, group: header.readUInt32LE(4), elements };
}

export const elementsOf = (values: SummableArray): Frame['elements'] =>
  values instanceof Float32Array ? 'float32' : 'float64';

export function bytesOf(values: SummableArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The payload as an array like `like`. @throws Error if its type or length is another */
export function arrayOf<A extends SummableArray>({ elements, payload }: Frame, like: A, from: string): A {
  if (elements !== elementsOf(like) || payload.byteLength !== like.byteLength)
    throw new Error(
      `${from} exchanges ${payload.byteLength} bytes of ${elements}, this replica ${like.byteLength} of ` +
        `${elementsOf(like)}: they do not train the same`,
    );
  const make = like instanceof Float32Array ? Float32Array : Float64Array;
  return new make(payload.buffer as ArrayBuffer, payload.byteOffset, like.length) as A;
}
