/**
 * The value of a key that must exist.
 * @param what one entry, for the message: `weight`, `output`
 * @throws RangeError where the map lacks it.
 */
export function entryOf<Key extends string | number, T>(map: ReadonlyMap<Key, T>, key: Key, what: string): T {
  const found = map.get(key);
  if (found === undefined) throw new RangeError(`${what} ${JSON.stringify(key)} does not exist`);
  return found;
}
