/**
 * ONNX files written field by field, independently of the writer under test, so that tests can say things the writer
 * never would.
 */
import { MessageWriter } from '../../src/compression/formats/onnx/wire.ts';

/** Element type codes of TensorProto.DataType. */
export const CODE = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  uint4: 21,
  int4: 22,
  float6e2m3: 27,
  float6e3m2: 28,
} as const;

export interface NodeBytes {
  readonly opType: string;
  readonly inputs?: readonly string[];
  readonly outputs?: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: readonly MessageWriter[];
}

export function nodeBytes({
  opType,
  inputs = [],
  outputs = [],
  name,
  domain,
  attributes = [],
}: NodeBytes): MessageWriter {
  const writer = new MessageWriter();
  for (const input of inputs) writer.text(1, input);
  for (const output of outputs) writer.text(2, output);
  if (name !== undefined) writer.text(3, name);
  writer.text(4, opType);
  for (const attribute of attributes) writer.message(5, attribute);
  if (domain !== undefined) writer.text(7, domain);
  return writer;
}

/** A tensor's fixed fields; `data` adds the storage. */
export function tensorBytes(
  name: string,
  type: number,
  dims: readonly number[],
  data: (writer: MessageWriter) => MessageWriter = (writer) => writer,
): MessageWriter {
  return data(new MessageWriter().ints(1, dims).int(2, type).text(8, name));
}

/** A float32 value with this shape; strings are symbolic dimensions. */
export function valueBytes(
  name: string,
  shape: readonly (number | string)[],
  type: number = CODE.float32,
): MessageWriter {
  const dims = new MessageWriter();
  for (const dim of shape)
    dims.message(1, typeof dim === 'number' ? new MessageWriter().int(1, dim) : new MessageWriter().text(2, dim));
  return new MessageWriter()
    .text(1, name)
    .message(2, new MessageWriter().message(1, new MessageWriter().int(1, type).message(2, dims)));
}

export interface GraphBytes {
  readonly nodes?: readonly MessageWriter[];
  readonly initializers?: readonly MessageWriter[];
  readonly inputs?: readonly MessageWriter[];
  readonly outputs?: readonly MessageWriter[];
}

export function graphBytes({ nodes = [], initializers = [], inputs = [], outputs = [] }: GraphBytes): MessageWriter {
  const writer = new MessageWriter();
  for (const node of nodes) writer.message(1, node);
  writer.text(2, 'graph');
  for (const tensor of initializers) writer.message(5, tensor);
  for (const input of inputs) writer.message(11, input);
  for (const output of outputs) writer.message(12, output);
  return writer;
}

export function modelBytes(graph: MessageWriter, opset: number | null = 17): Uint8Array {
  const writer = new MessageWriter().int(1, 8).message(7, graph);
  if (opset !== null) writer.message(8, new MessageWriter().text(1, '').int(2, opset));
  return writer.finish();
}

/** y = Identity(x): the smallest model that is whole. */
export function identityModel(opset: number | null = 17): Uint8Array {
  return modelBytes(
    graphBytes({
      nodes: [nodeBytes({ opType: 'Identity', inputs: ['x'], outputs: ['y'], name: 'id' })],
      inputs: [valueBytes('x', ['n', 2])],
      outputs: [valueBytes('y', ['n', 2])],
    }),
    opset,
  );
}

/** A model whose one initializer is `tensor`, named w, read by an Identity. */
export function modelWithInitializer(tensor: MessageWriter): Uint8Array {
  return modelBytes(
    graphBytes({
      nodes: [nodeBytes({ opType: 'Identity', inputs: ['w'], outputs: ['y'] })],
      initializers: [tensor],
      outputs: [new MessageWriter().text(1, 'y')],
    }),
  );
}
