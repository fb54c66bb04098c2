/**
 * Which bytes an object of the representation was decoded from. They are held in a property that copying leaves behind:
 * a pass that makes a changed copy (`{ ...node, inputs }`) gets an object without origin, which the writer encodes
 * anew; everything else it copies byte for byte. (A WeakMap says the same, but a million entries cost the garbage
 * collector seconds.)
 */
const ORIGIN = Symbol('origin');

/** Records the protobuf payload (for maps, the concatenated records) that `object` was decoded from. */
export function setOrigin<T extends object>(object: T, bytes: Uint8Array): T {
  return Object.defineProperty(object, ORIGIN, { value: bytes, enumerable: false });
}

export function originOf(object: object): Uint8Array | undefined {
  return (object as { readonly [ORIGIN]?: Uint8Array })[ORIGIN];
}
