/**
 * Writes a recorded step as a tensorflow.FunctionDef: its signature, one NodeDef per live operation, and which node's
 * output each result is. Field numbers are those of function.proto, op_def.proto, node_def.proto, attr_value.proto and
 * tensor.proto.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Binding, OpAttribute } from '../native/binding.ts';
import { opDefinition } from './op-definitions.ts';
import type { Argument, OpDefinition } from './op-definitions.ts';
import { argumentsOf, isExchange, nodeOf } from './program.ts';
import type { Program, ProgramOp, Reference } from './program.ts';
import type { RecordedConstant } from './recorder.ts';

/** What the writer needs beside the program itself. */
interface Source {
  readonly program: Program;
  readonly binding: Binding;
  /** TF_DataType of a reference. */
  dtypeOf(reference: Reference): number;
}

/**
 * The function takes `argumentsOf(program)` in order and returns the results, then the variables' new values.
 * @param argumentDtype TF_DataType of an argument
 */
export function writeFunctionDef(
  name: string,
  program: Program,
  binding: Binding,
  argumentDtype: (reference: Reference) => number,
): Uint8Array {
  const source: Source = { program, binding, dtypeOf: (reference) => dtypeOf(program, reference, argumentDtype) };
  const returned = [...program.results, ...program.updates.values()];
  const exchanges = [...program.ops].flatMap(([node, op]) => (isExchange(op) ? [node] : []));
  const writer = new BinaryWriter();
  message(writer, 1, (signature) =>
    writeSignature(
      signature,
      name,
      argumentsOf(program).map((reference) => [reference, source.dtypeOf(reference)]),
      returned.map(source.dtypeOf),
      exchanges.slice(-1),
    ),
  );
  for (const [reference, constant] of program.constants)
    message(writer, 3, (node) => writeConstant(node, reference, constant));
  for (const [node, op] of program.ops) {
    const before = exchanges[exchanges.indexOf(node) - 1];
    message(writer, 3, (def) => writeNode(def, node, op, source, before));
  }
  returned.forEach((reference, index) => {
    message(writer, 4, (entry) => writeEntry(entry, `r${index}`, nameIn(program, reference)));
  });
  // control_ret: what must have run though nothing may need its result
  for (const node of exchanges.slice(-1)) message(writer, 6, (entry) => writeEntry(entry, node, node));
  return writer.finish();
}

function dtypeOf(program: Program, reference: Reference, argumentDtype: (reference: Reference) => number): number {
  const constant = program.constants.get(reference);
  if (constant) return constant.dtype;
  const op = program.ops.get(nodeOf(reference));
  return op ? op.outputs[Number(reference.split(':')[1])]! : argumentDtype(reference);
}

/** An entry of a map<string, string>. */
function writeEntry(writer: BinaryWriter, key: string, value: string): void {
  writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value);
}

/** OpDef { name = 1, input_arg = 2, output_arg = 3, control_output = 20 }, ArgDef { name = 1, type = 3 } */
function writeSignature(
  writer: BinaryWriter,
  name: string,
  args: readonly (readonly [string, number])[],
  returned: readonly number[],
  controlOutputs: readonly string[],
): void {
  const argument = (field: number, argumentName: string, dtype: number) => {
    message(writer, field, (arg) =>
      arg.tag(1, WireType.LengthDelimited).string(argumentName).tag(3, WireType.Varint).int32(dtype),
    );
  };
  writer.tag(1, WireType.LengthDelimited).string(name);
  for (const [argumentName, dtype] of args) argument(2, argumentName, dtype);
  returned.forEach((dtype, index) => argument(3, `r${index}`, dtype));
  for (const output of controlOutputs) writer.tag(20, WireType.LengthDelimited).string(output);
}

/** NodeDef { name = 1, op = 2, input = 3, attr = 5 }; an input of the form ^node: runs after that node. */
function writeNode(writer: BinaryWriter, name: string, op: ProgramOp, source: Source, after?: string): void {
  writer.tag(1, WireType.LengthDelimited).string(name).tag(2, WireType.LengthDelimited).string(op.name);
  for (const reference of op.inputs) writer.tag(3, WireType.LengthDelimited).string(nameIn(source.program, reference));
  if (after) writer.tag(3, WireType.LengthDelimited).string(`^${after}`);
  for (const [attribute, value] of attributesOf(op, source)) {
    message(writer, 5, (entry) =>
      entry.tag(1, WireType.LengthDelimited).string(attribute).tag(2, WireType.LengthDelimited).bytes(value),
    );
  }
}

function writeConstant(writer: BinaryWriter, name: string, { shape, dtype, bytes }: RecordedConstant): void {
  writer.tag(1, WireType.LengthDelimited).string(name).tag(2, WireType.LengthDelimited).string('Const');
  const attribute = (key: string, value: Uint8Array) =>
    message(writer, 5, (entry) =>
      entry.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).bytes(value),
    );
  attribute('dtype', typeValue(dtype));
  // TensorProto { dtype = 1, tensor_shape = 2, tensor_content = 4 }
  attribute(
    'value',
    attrValue((value) =>
      message(value, 8, (tensor) => {
        tensor.tag(1, WireType.Varint).int32(dtype);
        message(tensor, 2, (dims) => writeShape(dims, shape));
        tensor.tag(4, WireType.LengthDelimited).bytes(bytes);
      }),
    ),
  );
}

/**
 * A function's body calls an argument by its name, and a node's output node:argument:index, where an argument that is a
 * list counts its tensors.
 */
function nameIn(program: Program, reference: Reference): string {
  if (program.constants.has(reference)) return `${reference}:output:0`;
  const node = nodeOf(reference);
  const op = program.ops.get(node);
  if (!op) return reference;
  const { outputs } = opDefinition(op.name);
  let index = Number(reference.split(':')[1]);
  for (const output of outputs) {
    const length = argumentLength(output, op, op.outputs.length - (outputs.length - 1));
    if (index < length) return `${node}:${output.name}:${index}`;
    index -= length;
  }
  throw new Error(`${op.name} yielded ${op.outputs.length} tensors; it is defined with ${outputs.length}`);
}

/**
 * Given attributes, those that eager execution infers from the inputs, and defaults for the rest: a NodeDef must have
 * them all.
 */
function attributesOf(op: ProgramOp, source: Source): Map<string, Uint8Array> {
  const definition = opDefinition(op.name);
  const values = new Map(
    op.attributes.map((attribute) => [attribute.name, encodeAttribute(attribute, source.binding)]),
  );
  for (const [name, value] of inferredAttributes(op, definition, source))
    if (!values.has(name)) values.set(name, value);
  for (const [name, fallback] of definition.attributes) {
    if (values.has(name)) continue;
    if (!fallback) throw new Error(`attribute ${name} of ${op.name} is not given`);
    values.set(name, fallback);
  }
  return values;
}

function inferredAttributes(op: ProgramOp, { inputs }: OpDefinition, source: Source): [string, Uint8Array][] {
  const found: [string, Uint8Array][] = [];
  let position = 0;
  for (const argument of inputs) {
    const count = argumentLength(argument, op, op.inputs.length - (inputs.length - 1));
    const types = op.inputs.slice(position, position + count).map(source.dtypeOf);
    position += count;
    if (argument.numberAttribute)
      found.push([argument.numberAttribute, attrValue((value) => value.tag(3, WireType.Varint).int64(count))]);
    if (argument.typeListAttribute)
      found.push([
        argument.typeListAttribute,
        attrValue((value) => message(value, 1, (list) => writePacked(list, 6, types))),
      ]);
    if (argument.typeAttribute && types.length > 0) found.push([argument.typeAttribute, typeValue(types[0]!)]);
  }
  return found;
}

/**
 * Tensors of an argument. Where no attribute gives their number, at most one argument is a list, which takes what the
 * others leave.
 */
function argumentLength({ numberAttribute, typeListAttribute }: Argument, op: ProgramOp, left: number): number {
  if (!numberAttribute && !typeListAttribute) return 1;
  const given = op.attributes.find(({ name }) => name === numberAttribute);
  return given ? Number(given.value) : left;
}

/** AttrValue { list = 1, s = 2, i = 3, f = 4, b = 5, type = 6, shape = 7, tensor = 8 } */
function encodeAttribute({ name, type, value }: OpAttribute, binding: Binding): Uint8Array {
  if (Array.isArray(value) && type !== binding.TF_ATTR_SHAPE)
    return attrValue((writer) => message(writer, 1, (list) => writeList(list, type, value as unknown[], binding)));
  switch (type) {
    case binding.TF_ATTR_STRING:
      return attrValue((writer) => writer.tag(2, WireType.LengthDelimited).string(String(value)));
    case binding.TF_ATTR_INT:
      return attrValue((writer) => writer.tag(3, WireType.Varint).int64(Math.trunc(Number(value))));
    case binding.TF_ATTR_FLOAT:
      return attrValue((writer) => writer.tag(4, WireType.Bit32).float(Number(value)));
    case binding.TF_ATTR_BOOL:
      return attrValue((writer) => writer.tag(5, WireType.Varint).bool(Boolean(value)));
    case binding.TF_ATTR_TYPE:
      return typeValue(Number(value));
    case binding.TF_ATTR_SHAPE:
      return attrValue((writer) => message(writer, 7, (shape) => writeShape(shape, value as number[])));
    default:
      throw new Error(`attribute ${name} has a type (${type}) that a compiled step cannot hold`);
  }
}

function writeList(list: BinaryWriter, type: number, values: readonly unknown[], binding: Binding): void {
  if (type === binding.TF_ATTR_FLOAT) for (const value of values) list.tag(4, WireType.Bit32).float(Number(value));
  else if (type === binding.TF_ATTR_STRING)
    for (const value of values) list.tag(2, WireType.LengthDelimited).string(String(value));
  else writePacked(list, type === binding.TF_ATTR_INT ? 3 : type === binding.TF_ATTR_BOOL ? 5 : 6, values.map(Number));
}

function writePacked(writer: BinaryWriter, field: number, values: readonly number[]): void {
  message(writer, field, (packed) => values.forEach((value) => packed.int64(Math.trunc(value))));
}

function typeValue(dtype: number): Uint8Array {
  return attrValue((writer) => writer.tag(6, WireType.Varint).int32(dtype));
}

/** TensorShapeProto { dim = 2 { size = 1 } } */
function writeShape(writer: BinaryWriter, shape: readonly number[]): void {
  for (const size of shape) message(writer, 2, (dim) => dim.tag(1, WireType.Varint).int64(size));
}

function attrValue(write: (writer: BinaryWriter) => unknown): Uint8Array {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

function message(writer: BinaryWriter, field: number, write: (writer: BinaryWriter) => unknown): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}
