/** ValueInfoProto and TypeProto -> ValueInfo. Only tensor types are modelled; sequences, maps, optionals and sparse tensors are carried. */
import type { Dim, TensorType, ValueInfo } from '../../graph/types.ts';
import { printable } from '../../graph/graph-error.ts';
import { setOrigin } from './origin.ts';
import { dataType } from './read-tensor.ts';
import type { MessageReader } from './wire.ts';

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
    else if (dims.push(readDim(reader.message(() => 'dimension'))) > 64) throw reader.error('a shape of more than 64 dimensions');
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
