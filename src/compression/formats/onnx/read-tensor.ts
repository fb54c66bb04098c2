/**
 * TensorProto -> Tensor: every storage form becomes the bytes of `raw_data`, as a view on the file where the form
 * allows it.
 */
import { LatheError } from '../../../errors.ts';
import { BITS, byteLength, elementCount, pack } from '../../ir/tensor-data.ts';
import { printable } from '../../ir/graph-error.ts';
import { DATA_TYPES, type DataType, type Tensor } from '../../ir/types.ts';
import { setOrigin } from './origin.ts';
import { concatenate, FIXED32, FIXED64, type MessageReader } from './wire.ts';

const MAX_RANK = 64;
const EXTERNAL = 1;

interface Draft {
  name: string;
  dtype: DataType;
  dims: number[];
  raw: Uint8Array | null;
  /** Payloads of float_data or double_data: little-endian, as raw_data is. */
  fixed: Uint8Array[];
  /**
   * Elements lie in int32_data, int64_data or uint64_data: decoded in a second pass, when their number and width are
   * known.
   */
  varints: boolean;
  strings: Uint8Array[];
  external: boolean;
  rest: Uint8Array[];
}

/** Decodes a tensor. */
export function readTensor(reader: MessageReader): Tensor {
  const draft: Draft = {
    name: '',
    dtype: 'undefined',
    dims: [],
    raw: null,
    fixed: [],
    varints: false,
    strings: [],
    external: false,
    rest: [],
  };
  while (reader.next()) readField(reader, draft);
  const { name, dtype, dims } = draft;
  if (draft.external) {
    const message = 'its data lie in another file (external data); save the model as one file';
    throw new LatheError('unsupported-format', `tensor "${printable(name)}": ${message}`, [
      { path: `tensor "${printable(name)}"`, message },
    ]);
  }
  if (dims.some((dim) => dim < 0)) throw reader.error(`a negative dimension in [${dims.join(', ')}]`);
  const strings = dtype === 'string' ? checkedStrings(reader, draft) : undefined;
  const bytes = strings ? new Uint8Array(0) : checkedBytes(reader, draft);
  const tensor = {
    name,
    dtype,
    dims,
    bytes,
    ...(strings && { strings }),
    ...(draft.rest.length > 0 && { rest: draft.rest }),
  };
  return setOrigin(tensor, reader.bytes);
}

function readField(reader: MessageReader, draft: Draft): void {
  switch (reader.field) {
    case 1: {
      reader.ints(draft.dims, MAX_RANK);
      return;
    }
    case 2:
      draft.dtype = dataType(reader, reader.int());
      return;
    case 4:
      draft.fixed.push(reader.fixed(FIXED32));
      return;
    case 10:
      draft.fixed.push(reader.fixed(FIXED64));
      return;
    case 5:
    case 7:
    case 11:
      draft.varints = true;
      reader.record();
      return;
    case 6:
      draft.strings.push(reader.payload());
      return;
    case 8:
      draft.name = reader.text();
      return;
    case 9:
      draft.raw = reader.payload();
      return;
    case 14:
      draft.external = reader.int() === EXTERNAL;
      return;
    case 3:
      throw reader.error('a tensor stored in segments');
    default:
      draft.rest.push(reader.record());
  }
}

export function dataType(reader: MessageReader, code: number): DataType {
  const dtype = DATA_TYPES[code];
  if (dtype === undefined)
    throw reader.error(`element type ${code} is unknown; this release knows 1 to ${DATA_TYPES.length - 1}`);
  return dtype;
}

function checkedStrings(reader: MessageReader, draft: Draft): Uint8Array[] {
  const count = draft.dims.reduce((product, dim) => product * dim, 1);
  if (draft.strings.length !== count)
    throw reader.error(`[${draft.dims.join(', ')}] strings declared, ${draft.strings.length} stored`);
  return draft.strings;
}

function checkedBytes(reader: MessageReader, draft: Draft): Uint8Array {
  const { dtype, dims } = draft;
  if (BITS[dtype] === 0) throw reader.error('a tensor has no element type');
  const expected = byteLength(dtype, dims);
  const bytes = draft.raw ?? (draft.varints ? varintBytes(reader, draft, expected) : concatenate(draft.fixed));
  if (bytes.length === expected) return bytes;
  throw reader.error(`${dtype} [${dims.join(', ')}] needs ${expected} bytes, the file holds ${bytes.length}`);
}

/**
 * The elements in raw_data form. Narrow types lie one to a varint; 4- and 2-bit types one packed byte to a varint;
 * 6-bit types not packed.
 */
function varintBytes(reader: MessageReader, { dtype, dims }: Draft, expected: number): Uint8Array {
  if (BITS[dtype] === 6) return pack(storedVarints(reader, 'uint8', elementCount(dims)), 6);
  return storedVarints(reader, dtype, expected);
}

function storedVarints(reader: MessageReader, dtype: DataType, expected: number): Uint8Array {
  const size = Math.max(BITS[dtype] / 8, 1);
  if (expected > reader.bytes.length * size)
    throw reader.error(`${expected / size} elements declared in ${reader.bytes.length} bytes of file`);
  const bytes = new Uint8Array(expected);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  const put = (low: number, high: number): void => {
    if (offset + size <= expected) {
      if (size === 1) view.setUint8(offset, low);
      else if (size === 2) view.setUint16(offset, low, true);
      else view.setUint32(offset, low, true);
      if (size === 8) view.setUint32(offset + 4, high, true);
    }
    offset += size;
  };
  const again = reader.again();
  while (again.next()) {
    if (again.field === 5 || again.field === 7 || again.field === 11) again.varints(put);
    else again.record();
  }
  if (offset !== expected) throw reader.error(`${expected / size} elements declared, ${offset / size} stored`);
  return bytes;
}
