/** Values of attributes as AttributeProto holds them: one field for each type, lists in fields of their own. */
import type { Attribute, Graph, Tensor } from '../../ir/types.ts';
import { decodeText } from './wire.ts';

export interface AttributeLists {
  readonly floats: number[];
  readonly ints: number[];
  /** `undefined`: bytes that are no text. */
  readonly strings: (string | undefined)[];
  readonly tensors: Tensor[];
  readonly graphs: Graph[];
}

export function stringAttribute(bytes: Uint8Array, record: Uint8Array): Attribute {
  const value = decodeText(bytes);
  return value === undefined ? { kind: 'opaque', value: record } : { kind: 'string', value };
}

export function listAttribute(type: number, lists: AttributeLists, record: Uint8Array): Attribute | undefined {
  switch (type) {
    case 6:
      return { kind: 'floats', value: lists.floats };
    case 7:
      return { kind: 'ints', value: lists.ints };
    case 8: {
      const strings = lists.strings.filter((text) => text !== undefined);
      return strings.length === lists.strings.length
        ? { kind: 'strings', value: strings }
        : { kind: 'opaque', value: record };
    }
    case 9:
      return { kind: 'tensors', value: lists.tensors };
    case 10:
      return { kind: 'graphs', value: lists.graphs };
    case 11:
    case 12:
    case 13:
    case 14:
      return { kind: 'opaque', value: record };
    default:
      return undefined;
  }
}

/** A value that equals its type's default may be left out of the file. */
export function defaultAttribute(type: number, record: Uint8Array): Attribute {
  if (type === 1) return { kind: 'float', value: 0 };
  if (type === 2) return { kind: 'int', value: 0 };
  return type === 3 ? { kind: 'string', value: '' } : { kind: 'opaque', value: record };
}
