/** The fields of a protobuf message, by number. */
import { setOrigin } from './origin.ts';
import { concatenate, type MessageReader } from './wire.ts';

/** What a field of each number adds to what is read of the message. */
export type Fields<T> = Readonly<Record<number, (reader: MessageReader, into: T) => void>>;

/**
 * @param onField is told the number of each field, named or not
 * @returns the records of the fields that `fields` does not name
 */
export function readFields<T>(
  reader: MessageReader,
  into: T,
  fields: Fields<T>,
  onField?: (field: number) => void,
): Uint8Array[] {
  const rest: Uint8Array[] = [];
  while (reader.next()) {
    onField?.(reader.field);
    const read = fields[reader.field];
    if (read) read(reader, into);
    else rest.push(reader.record());
  }
  return rest;
}

/** The order of fields in the file, run-length coded: [field, count, field, count, ...]. */
export class FieldOrder {
  readonly runs: number[] = [];
  add(field: number): void {
    const last = this.runs.length - 2;
    if (this.runs[last] === field) this.runs[last + 1]!++;
    else this.runs.push(field, 1);
  }
}

/** A map decoded from repeated records, which remembers them while it stays the same object. */
export class RecordedMap<V> {
  readonly map = new Map<string, V>();
  private readonly records: Uint8Array[] = [];
  add(reader: MessageReader, [key, value]: [string, V]): void {
    this.map.set(key, value);
    this.records.push(reader.consumed());
  }
  finish(): ReadonlyMap<string, V> {
    return setOrigin(this.map, concatenate(this.records));
  }
}
