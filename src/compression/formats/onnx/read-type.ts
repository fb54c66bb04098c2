/**
 * ValueInfoProto and TypeProto -> ValueInfo. Only tensor types are modelled; sequences, maps, optionals and sparse
 * tensors are carried.
 */
import type { Dim, TensorType, ValueInfo } from '../../ir/types.ts';
import { printable } from '../../ir/graph-error.ts';
import { setOrigin } from './origin.ts';
import { dataType } from './read-tensor.ts';
import { LENGTH_DELIMITED, MessageReader } from './wire.ts';

export function readValueInfo(reader: MessageReader): ValueInfo {
  let name = '';
  let type: TensorType | null = null;
  const rest: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else if (reader.field === 2) {
      type = readType(reader.message(() => `type of "${printable(name)}"`));
      if (type === null) rest.push(reader.consumed());
    } else rest.push(reader.record());
  }
  return setOrigin({ name, type, ...(rest.length > 0 && { rest }) }, reader.bytes);
}

/** The tensor type, or null where the value is of another kind. */
function readType(reader: MessageReader): TensorType | null {
  let type: TensorType | null = null;
  while (reader.next()) {
    if (reader.field === 1) type = readTensorType(reader.message(() => 'tensor type'));
    else reader.record();
  }
  return type;
}

function readTensorType(reader: MessageReader): TensorType {
  let dtype: TensorType['dtype'] = 'undefined';
  let shape: Dim[] | null = null;
  while (reader.next()) {
    if (reader.field === 1) dtype = dataType(reader, reader.int());
    else if (reader.field === 2) shape = readShape(reader.message(() => 'shape'));
    else reader.record();
  }
  return { dtype, shape };
}

function readShape(reader: MessageReader): Dim[] {
  const dims: Dim[] = [];
  while (reader.next()) {
    if (reader.field !== 1) reader.record();
    else if (dims.push(readDim(reader.message(() => 'dimension'))) > 64)
      throw reader.error('a shape of more than 64 dimensions');
  }
  return dims;
}

/** Exporters write 0, -1 or an empty name for an open dimension; 0 is kept, since empty tensors exist. */
function readDim(reader: MessageReader): Dim {
  let dim: Dim = null;
  while (reader.next()) {
    if (reader.field === 1) dim = reader.int();
    else if (reader.field === 2) dim = reader.text() || null;
    else reader.record();
  }
  return typeof dim === 'number' && dim < 0 ? null : dim;
}

/**
 * What a value is that the representation does not model, in words: "a sequence of float32 tensors".
 * @returns null where the file gives no type.
 */
export function otherType({ name, rest = [] }: ValueInfo): string | null {
  for (const record of rest) {
    const reader = new MessageReader(record, () => `type of "${printable(name)}"`);
    if (reader.next() && reader.field === 2) return `a ${typeInWords(reader.message(() => 'type'))}`;
  }
  return null;
}

/**
 * TypeProto's fields: 1 tensor, 4 sequence (its elements: field 1), 5 map (key 1, value 2), 8 sparse tensor, 9 optional
 * (1).
 */
function typeInWords(reader: MessageReader): string {
  let words = 'value of unknown type';
  while (reader.next()) {
    if (reader.field === 4)
      words = `sequence of ${typeInField(
        reader.message(() => 'sequence type'),
        1,
      )}s`;
    else if (reader.field === 5)
      words = `map to ${typeInField(
        reader.message(() => 'map type'),
        2,
      )}s`;
    else if (reader.field === 9)
      words = `optional ${typeInField(
        reader.message(() => 'optional type'),
        1,
      )}`;
    else if (reader.field === 1) words = `${readTensorType(reader.message(() => 'tensor type')).dtype} tensor`;
    else {
      if (reader.field === 8) words = 'sparse tensor';
      reader.record();
    }
  }
  return words;
}

function typeInField(reader: MessageReader, field: number): string {
  let words = 'value';
  while (reader.next()) {
    if (reader.field === field && reader.wire === LENGTH_DELIMITED) words = typeInWords(reader.message(() => 'type'));
    else reader.record();
  }
  return words;
}
