/**
 * Representation -> ONNX file. Objects that are still the ones the reader made are copied byte for byte; others are
 * encoded in the order of fields that the file had, or ONNX's own (ascending field numbers). Tensor elements always go
 * into `raw_data`.
 */
import {
  DATA_TYPES,
  type Attribute,
  type Dim,
  type FunctionDefinition,
  type Graph,
  type Model,
  type Node,
  type Records,
  type Tensor,
  type TensorType,
  type ValueInfo,
} from '../../ir/types.ts';
import { originOf } from './origin.ts';
import { MessageReader, MessageWriter } from './wire.ts';

/** Encodes a model; a model that is unchanged since `readOnnx` gives the file it came from. */
export function writeOnnx(model: Model): Uint8Array {
  const origin = originOf(model);
  if (origin) return origin;
  const writer = new MessageWriter();
  const order = model.order ?? [];
  writeInOrder(
    writer,
    order,
    model.rest,
    new Map<number, Emit[]>([
      [1, [(w) => w.int(1, irVersion(model))]],
      [2, optional(model.producerName, (w, name) => w.text(2, name))],
      [7, [(w) => w.message(7, graphMessage(model.graph))]],
      [8, recorded(model.opsets, (w, domain, version) => w.message(8, opsetMessage(domain, version)))],
      [14, recorded(model.metadata, (w, key, value) => w.message(14, new MessageWriter().text(1, key).text(2, value)))],
      [
        25,
        model.functions.map(
          (definition): Emit =>
            (w) =>
              w.message(25, functionMessage(definition)),
        ),
      ],
    ]),
  );
  return writer.finish();
}

/**
 * Before version 4 every initializer was an input, too; one that a step added, or whose input it took away, needs that
 * version.
 */
function irVersion({ irVersion, graph }: Model): number {
  if (irVersion >= CONSTANT_INITIALIZERS) return irVersion;
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  return [...graph.initializers.keys()].every((name) => inputs.has(name)) ? irVersion : CONSTANT_INITIALIZERS;
}
const CONSTANT_INITIALIZERS = 4;

/** One TensorProto on its own, as ONNX's test data hold inputs and outputs. */
export function writeTensor(tensor: Tensor): Uint8Array {
  return tensorMessage(tensor).finish();
}

type Emit = (writer: MessageWriter) => void;

/**
 * Emits fields in the order of the file they came from. Each run of a field takes as many of its items; items added
 * since come with its last run. Fields the file did not have follow in ascending order, unknown records among them.
 */
function writeInOrder(
  writer: MessageWriter,
  order: readonly number[],
  rest: Records | undefined,
  fields: ReadonlyMap<number, readonly Emit[]>,
): void {
  const queues = new Map<number, Emit[]>();
  for (const [field, emits] of fields) queues.set(field, [...emits].reverse());
  for (const record of [...(rest ?? [])].reverse()) {
    const field = fieldOf(record);
    queues.set(field, [...(queues.get(field) ?? []), (w) => w.raw(record)]);
  }
  const lastRun = new Map<number, number>();
  for (const [i, field] of order.entries()) if (i % 2 === 0) lastRun.set(field, i);
  for (const [i, field] of order.entries()) {
    if (i % 2 === 1) continue;
    const queue = queues.get(field) ?? [];
    const count = lastRun.get(field) === i ? queue.length : (order[i + 1] ?? 0);
    for (const emit of queue.splice(Math.max(queue.length - count, 0)).reverse()) emit(writer);
  }
  for (const [, queue] of [...queues].sort(([a], [b]) => a - b)) for (const emit of queue.reverse()) emit(writer);
}

function fieldOf(record: Uint8Array): number {
  let tag = 0;
  for (let i = 0, scale = 1; i < record.length; i++, scale *= 128) {
    tag += (record[i]! & 0x7f) * scale;
    if (record[i]! < 0x80) break;
  }
  return Math.floor(tag / 8);
}

function optional<T>(value: T | undefined, emit: (writer: MessageWriter, value: T) => void): Emit[] {
  return value === undefined ? [] : [(writer) => emit(writer, value)];
}

/** A map's records as in the file, or newly written entries. */
function recorded<V>(
  map: ReadonlyMap<string, V>,
  emit: (writer: MessageWriter, key: string, value: V) => void,
): Emit[] {
  const origin = originOf(map);
  if (origin) return [(writer) => writer.raw(origin)];
  return [...map].map(
    ([key, value]) =>
      (writer) =>
        emit(writer, key, value),
  );
}

function opsetMessage(domain: string, version: number): MessageWriter {
  return new MessageWriter().text(1, domain).int(2, version);
}

/** The object's own bytes where it is untouched. */
function copied(object: object): MessageWriter | undefined {
  const origin = originOf(object);
  return origin && new MessageWriter().raw(origin);
}

function graphMessage(graph: Graph): MessageWriter {
  const untouched = copied(graph);
  if (untouched) return untouched;
  const writer = new MessageWriter();
  const infos = (field: number, list: readonly ValueInfo[]): Emit[] =>
    list.map((info) => (w) => w.message(field, valueInfoMessage(info)));
  writeInOrder(
    writer,
    graph.order ?? [],
    graph.rest,
    new Map<number, Emit[]>([
      [
        1,
        graph.nodes.map(
          (node): Emit =>
            (w) =>
              w.message(1, nodeMessage(node)),
        ),
      ],
      [
        2,
        graph.name === '' && graph.order && !graph.order.some((field, i) => i % 2 === 0 && field === 2)
          ? []
          : [(w) => w.text(2, graph.name)],
      ],
      [
        5,
        [...graph.initializers].map(
          ([name, tensor]): Emit =>
            (w) =>
              w.message(5, tensorMessage(tensor.name === name ? tensor : { ...tensor, name })),
        ),
      ],
      [11, infos(11, graph.inputs)],
      [12, infos(12, graph.outputs)],
      [13, infos(13, graph.valueInfos)],
    ]),
  );
  return writer;
}

function nodeMessage(node: Node): MessageWriter {
  const untouched = copied(node);
  if (untouched) return untouched;
  const writer = new MessageWriter();
  for (const input of node.inputs) writer.text(1, input);
  for (const output of node.outputs) writer.text(2, output);
  if (node.name !== '') writer.text(3, node.name);
  writer.text(4, node.opType);
  for (const [name, attribute] of node.attributes) writer.message(5, attributeMessage(name, attribute));
  if (node.domain !== '') writer.text(7, node.domain);
  if (node.overload) writer.text(8, node.overload);
  return appendRest(writer, node.rest);
}

function attributeMessage(name: string, attribute: Attribute): MessageWriter {
  const origin = originOf(attribute);
  if (origin && attributeName(origin) === name) return new MessageWriter().raw(origin);
  const writer = new MessageWriter().text(1, name);
  switch (attribute.kind) {
    case 'float':
      return writer.float(2, attribute.value).int(20, 1);
    case 'int':
      return writer.int(3, attribute.value).int(20, 2);
    case 'string':
      return writer.text(4, attribute.value).int(20, 3);
    case 'tensor':
      return writer.message(5, tensorMessage(attribute.value)).int(20, 4);
    case 'graph':
      return writer.message(6, graphMessage(attribute.value)).int(20, 5);
    case 'floats':
      return writer.floats(7, attribute.value).int(20, 6);
    case 'ints':
      return writer.ints(8, attribute.value).int(20, 7);
    case 'strings':
      return attribute.value.reduce((w, text) => w.text(9, text), writer).int(20, 8);
    case 'tensors':
      return attribute.value.reduce((w, tensor) => w.message(10, tensorMessage(tensor)), writer).int(20, 9);
    case 'graphs':
      return attribute.value.reduce((w, graph) => w.message(11, graphMessage(graph)), writer).int(20, 10);
    case 'reference':
      return writer.text(21, attribute.value);
    case 'opaque':
      return new MessageWriter().raw(attribute.value);
  }
}

/** The name within an attribute's bytes: a pass may have put the attribute under another one. */
function attributeName(origin: Uint8Array): string {
  const reader = new MessageReader(origin, () => 'attribute');
  let name = '';
  while (reader.next()) {
    if (reader.field === 1) name = reader.text();
    else reader.record();
  }
  return name;
}

function tensorMessage(tensor: Tensor): MessageWriter {
  const untouched = copied(tensor);
  if (untouched) return untouched;
  const writer = new MessageWriter().ints(1, tensor.dims).int(2, DATA_TYPES.indexOf(tensor.dtype));
  if (tensor.strings) for (const text of tensor.strings) writer.payload(6, text);
  if (tensor.name !== '') writer.text(8, tensor.name);
  if (!tensor.strings) writer.payload(9, tensor.bytes);
  return appendRest(writer, tensor.rest);
}

function valueInfoMessage(info: ValueInfo): MessageWriter {
  const untouched = copied(info);
  if (untouched) return untouched;
  const writer = new MessageWriter().text(1, info.name);
  if (info.type) writer.message(2, new MessageWriter().message(1, tensorTypeMessage(info.type)));
  return appendRest(writer, info.rest);
}

function tensorTypeMessage({ dtype, shape }: TensorType): MessageWriter {
  const writer = new MessageWriter().int(1, DATA_TYPES.indexOf(dtype));
  if (!shape) return writer;
  const dims = new MessageWriter();
  for (const dim of shape) dims.message(1, dimMessage(dim));
  return writer.message(2, dims);
}

function dimMessage(dim: Dim): MessageWriter {
  const writer = new MessageWriter();
  if (dim === null) return writer;
  return typeof dim === 'number' ? writer.int(1, dim) : writer.text(2, dim);
}

function functionMessage(definition: FunctionDefinition): MessageWriter {
  const untouched = copied(definition);
  if (untouched) return untouched;
  const writer = new MessageWriter().text(1, definition.name);
  for (const input of definition.inputs) writer.text(4, input);
  for (const output of definition.outputs) writer.text(5, output);
  for (const attribute of definition.attributes) writer.text(6, attribute);
  for (const node of definition.nodes) writer.message(7, nodeMessage(node));
  for (const emit of recorded(definition.opsets, (w, domain, version) => w.message(9, opsetMessage(domain, version))))
    emit(writer);
  writer.text(10, definition.domain);
  for (const [name, attribute] of definition.attributeDefaults) writer.message(11, attributeMessage(name, attribute));
  if (definition.overload !== '') writer.text(13, definition.overload);
  return appendRest(writer, definition.rest);
}

function appendRest(writer: MessageWriter, rest: Records | undefined): MessageWriter {
  for (const record of rest ?? []) writer.raw(record);
  return writer;
}
