/** TensorFlow's operations as it defines them itself: names of outputs, and attributes with their defaults. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { tensorflow } from '../native/binding.ts';

export interface Argument {
  readonly name: string;
  /** The attribute that holds its type, its count, or its list of types; '' where it has none. */
  readonly typeAttribute: string;
  readonly numberAttribute: string;
  readonly typeListAttribute: string;
}

export interface OpDefinition {
  readonly inputs: readonly Argument[];
  readonly outputs: readonly Argument[];
  /** By name; the default as a serialized AttrValue, null where the attribute must be given. */
  readonly attributes: ReadonlyMap<string, Uint8Array | null>;
}

let definitions: Map<string, OpDefinition> | undefined;

/** @throws Error where TensorFlow has no such operation */
export function opDefinition(name: string): OpDefinition {
  definitions ??= readOpList(tensorflow().binding.opDefinitions());
  const definition = definitions.get(name);
  if (!definition) throw new Error(`TensorFlow defines no operation "${name}"`);
  return definition;
}

/** tensorflow.OpList { repeated OpDef op = 1 } */
function readOpList(bytes: Uint8Array): Map<string, OpDefinition> {
  const ops = new Map<string, OpDefinition>();
  forEachField(bytes, { 1: (op) => ops.set(...readOpDef(op)) });
  return ops;
}

/** tensorflow.OpDef { name = 1, input_arg = 2, output_arg = 3, attr = 4 } */
function readOpDef(bytes: Uint8Array): [string, OpDefinition] {
  let name = '';
  const [inputs, outputs, attributes] = [[] as Argument[], [] as Argument[], new Map<string, Uint8Array | null>()];
  forEachField(bytes, {
    1: (value) => (name = text(value)),
    2: (value) => inputs.push(readArgument(value)),
    3: (value) => outputs.push(readArgument(value)),
    4: (value) => attributes.set(...readAttribute(value)),
  });
  return [name, { inputs, outputs, attributes }];
}

/** OpDef.ArgDef { name = 1, type_attr = 4, number_attr = 5, type_list_attr = 6 } */
function readArgument(bytes: Uint8Array): Argument {
  const argument = { name: '', typeAttribute: '', numberAttribute: '', typeListAttribute: '' };
  forEachField(bytes, {
    1: (value) => (argument.name = text(value)),
    4: (value) => (argument.typeAttribute = text(value)),
    5: (value) => (argument.numberAttribute = text(value)),
    6: (value) => (argument.typeListAttribute = text(value)),
  });
  return argument;
}

/** OpDef.AttrDef { name = 1, default_value = 3 } */
function readAttribute(bytes: Uint8Array): [string, Uint8Array | null] {
  let name = '';
  let fallback: Uint8Array | null = null;
  forEachField(bytes, { 1: (value) => (name = text(value)), 3: (value) => (fallback = value) });
  return [name, fallback];
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** Visits the length-delimited fields that have a visitor; skips all others. */
function forEachField(bytes: Uint8Array, visitors: Readonly<Record<number, (value: Uint8Array) => unknown>>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const visit = visitors[field];
    if (visit && wireType === WireType.LengthDelimited) visit(reader.bytes());
    else reader.skip(wireType, field);
  }
}
