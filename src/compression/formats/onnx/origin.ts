/**
 * Which bytes an object of the representation was decoded from. Keyed by identity: a pass that makes a changed copy (`{ ...node, inputs }`)
 * gets an object without origin, which the writer encodes anew; everything else it copies byte for byte.
 */
const origins = new WeakMap<object, Uint8Array>();

/** Notes the protobuf payload (or, for maps, the concatenated records) that `object` stands for. */
export function setOrigin<T extends object>(object: T, bytes: Uint8Array): T {
  origins.set(object, bytes);
  return object;
}

export function originOf(object: object): Uint8Array | undefined {
  return origins.get(object);
}
