/**
 * ONNX file -> representation. Tensor bytes are views on the file. What the representation does not model is carried as
 * raw records, and every object remembers the bytes it came from (origin.ts), so that `writeOnnx` reproduces what was
 * not changed byte for byte.
 */
import { LatheError } from '../../../errors.ts';
import type { Attribute, FunctionDefinition, Graph, Model, Node, Tensor, ValueInfo } from '../../ir/types.ts';
import { printable } from '../../ir/graph-error.ts';
import { setOrigin } from './origin.ts';
import { readSparseTensor } from './read-sparse-tensor.ts';
import { readTensor } from './read-tensor.ts';
import { readValueInfo } from './read-type.ts';
import { concatenate, decodeText, MessageReader } from './wire.ts';

/** The newest opset of ONNX's own domain that the representation knows. */
export const MAX_OPSET = 28;

/**
 * Decodes an ONNX model. The bytes must stay unchanged while the model is in use.
 * @throws LatheError `malformed-model` naming the place; `unsupported-format` for external data; `unsupported-operator`
 * for an opset newer than `MAX_OPSET`.
 */
export function readOnnx(file: Uint8Array): Model {
  // a plain view also where a Buffer was given
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const reader = new MessageReader(bytes, () => 'model');
  if (bytes.length === 0) throw reader.error('the file is empty');
  const order = new FieldOrder();
  const opsets = new RecordedMap<number>();
  const metadata = new RecordedMap<string>();
  const functions: FunctionDefinition[] = [];
  const rest: Uint8Array[] = [];
  let irVersion = 0;
  let producerName: string | undefined;
  let graph: Graph | undefined;
  while (reader.next()) {
    order.add(reader.field);
    switch (reader.field) {
      case 1:
        irVersion = reader.int();
        break;
      case 2:
        producerName = reader.text();
        break;
      case 7:
        graph = readGraph(reader.message(() => 'graph'));
        break;
      case 8:
        opsets.add(reader, readOpset(reader));
        break;
      case 14:
        metadata.add(reader, readPair(reader.message(() => 'metadata')));
        break;
      case 25:
        functions.push(readFunction(reader.message(() => `function ${functions.length}`)));
        break;
      default:
        rest.push(reader.record());
    }
  }
  if (!graph) throw reader.error('there is no graph in the file');
  checkOpset(reader, opsets.map);
  const model: Model = {
    irVersion,
    opsets: opsets.finish(),
    graph,
    functions,
    metadata: metadata.finish(),
    ...(producerName !== undefined && { producerName }),
    ...(rest.length > 0 && { rest }),
    order: order.runs,
  };
  return setOrigin(model, bytes);
}

function checkOpset(reader: MessageReader, opsets: ReadonlyMap<string, number>): void {
  const opset = opsets.get('');
  if (opset === undefined) {
    if (opsets.size === 0) throw reader.error('no opset import: the version of the operators is unknown');
    return; // a model of other domains only
  }
  if (opset < 1) throw reader.error(`opset ${opset} does not exist; versions 1 to ${MAX_OPSET} are known`);
  checkNotNewer(opset, 'opset import');
}

/** A later opset may change what an operator computes, so such a file is refused whole. */
function checkNotNewer(opset: number, place: string): void {
  if (opset <= MAX_OPSET) return;
  const message =
    `opset ${opset} is newer than the ${MAX_OPSET} this release knows; ` +
    `export the model with opset ${MAX_OPSET} or older`;
  throw new LatheError('unsupported-operator', `${place}: ${message}`, [{ path: place, message }]);
}

/** An opset import: domain ('' for ONNX's own) and version. */
export function readOpset(parent: MessageReader): [string, number] {
  const reader = parent.message(() => 'opset import');
  let domain = '';
  let version = 0;
  while (reader.next()) {
    if (reader.field === 1) domain = reader.text();
    else if (reader.field === 2) version = reader.int();
    else reader.record();
  }
  return [ownDomain(domain), version];
}

function readPair(reader: MessageReader): [string, string] {
  let key = '';
  let value = '';
  while (reader.next()) {
    if (reader.field === 1) key = reader.text();
    else if (reader.field === 2) value = reader.text();
    else reader.record();
  }
  return [key, value];
}

function readGraph(reader: MessageReader): Graph {
  const order = new FieldOrder();
  const nodes: Node[] = [];
  const initializers = new Map<string, Tensor>();
  const lists: Record<'inputs' | 'outputs' | 'valueInfos', ValueInfo[]> = { inputs: [], outputs: [], valueInfos: [] };
  const rest: Uint8Array[] = [];
  let name = '';
  while (reader.next()) {
    order.add(reader.field);
    switch (reader.field) {
      case 1:
        nodes.push(readNode(reader, nodes.length));
        break;
      case 2:
        name = reader.text();
        break;
      case 5:
        addInitializer(reader, readTensor(reader.message(() => `initializer ${initializers.size}`)), initializers);
        break;
      case 15:
        addInitializer(
          reader,
          readSparseTensor(reader.message(() => `initializer ${initializers.size} (sparse)`)),
          initializers,
        );
        break;
      case 11:
        lists.inputs.push(named(reader, readValueInfo(reader.message(() => `graph input ${lists.inputs.length}`))));
        break;
      case 12:
        lists.outputs.push(named(reader, readValueInfo(reader.message(() => `graph output ${lists.outputs.length}`))));
        break;
      case 13:
        lists.valueInfos.push(readValueInfo(reader.message(() => `value info ${lists.valueInfos.length}`)));
        break;
      default:
        rest.push(reader.record());
    }
  }
  return setOrigin(
    { name, nodes, initializers, ...lists, ...(rest.length > 0 && { rest }), order: order.runs },
    reader.bytes,
  );
}

function named(reader: MessageReader, info: ValueInfo): ValueInfo {
  if (info.name === '') throw reader.error('an input or output without name');
  return info;
}

function addInitializer(reader: MessageReader, tensor: Tensor, initializers: Map<string, Tensor>): void {
  if (tensor.name === '') throw reader.error(`initializer ${initializers.size} has no name`);
  if (initializers.has(tensor.name)) throw reader.error(`two initializers named "${printable(tensor.name)}"`);
  initializers.set(tensor.name, tensor);
}

function readNode(parent: MessageReader, index: number): Node {
  let name = '';
  let opType = '';
  const reader = parent.message(() => `node ${index} "${printable(name)}" (${printable(opType)})`);
  let domain = '';
  let overload = '';
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes = new Map<string, Attribute>();
  const rest: Uint8Array[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        inputs.push(reader.text());
        break;
      case 2:
        outputs.push(reader.text());
        break;
      case 3:
        name = reader.text();
        break;
      case 4:
        opType = reader.text();
        break;
      case 5:
        addAttribute(reader, attributes);
        break;
      case 7:
        domain = reader.text();
        break;
      case 8:
        overload = reader.text();
        break;
      default:
        rest.push(reader.record());
    }
  }
  if (opType === '') throw reader.error('a node without operator type');
  const node = {
    name,
    opType,
    domain: ownDomain(domain),
    inputs,
    outputs,
    attributes,
    ...(overload && { overload }),
    ...(rest.length > 0 && { rest }),
  };
  return setOrigin(node, reader.bytes);
}

function addAttribute(parent: MessageReader, attributes: Map<string, Attribute>): void {
  const [name, attribute] = readAttribute(parent.message(() => 'attribute'));
  if (attributes.has(name)) throw parent.error(`two attributes named "${printable(name)}"`);
  attributes.set(name, attribute);
}

/**
 * AttributeProto's fields by the type code that selects them; the type is missing in files of IR version 1, where the
 * field present decides.
 */
function readAttribute(reader: MessageReader): [string, Attribute] {
  let name = '';
  let type = 0;
  let reference = '';
  let value: Attribute | undefined;
  const lists = {
    floats: [] as number[],
    ints: [] as number[],
    strings: [] as (string | undefined)[],
    tensors: [] as Tensor[],
    graphs: [] as Graph[],
  };
  let seen = 0;
  while (reader.next()) {
    if (FIELD_OF_TYPE.includes(reader.field)) seen = FIELD_OF_TYPE.indexOf(reader.field);
    switch (reader.field) {
      case 1:
        name = reader.text();
        break;
      case 2:
        value = { kind: 'float', value: reader.float() };
        break;
      case 3:
        value = { kind: 'int', value: reader.int() };
        break;
      case 4:
        value = stringAttribute(reader.payload(), reader.bytes);
        break;
      case 5:
        value = { kind: 'tensor', value: readTensor(reader.message(() => `attribute "${printable(name)}"`)) };
        break;
      case 6:
        value = { kind: 'graph', value: readGraph(reader.message(() => `attribute "${printable(name)}"`)) };
        break;
      case 7:
        reader.floats(lists.floats);
        break;
      case 8:
        reader.ints(lists.ints);
        break;
      case 9:
        lists.strings.push(decodeText(reader.payload()));
        break;
      case 10:
        lists.tensors.push(readTensor(reader.message(() => `attribute "${printable(name)}"`)));
        break;
      case 11:
        lists.graphs.push(readGraph(reader.message(() => `attribute "${printable(name)}"`)));
        break;
      case 20:
        type = reader.int();
        break;
      case 21:
        reference = reader.text();
        break;
      default:
        reader.record();
    }
  }
  if (reference !== '') return [name, setOrigin({ kind: 'reference', value: reference }, reader.bytes)];
  const attribute = listAttribute(type || seen, lists, reader.bytes) ?? value ?? defaultAttribute(type, reader.bytes);
  return [name, setOrigin(attribute, reader.bytes)];
}

/** Field number of each AttributeProto.AttributeType. */
const FIELD_OF_TYPE = [-1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 22, 23, 14, 15];

function stringAttribute(bytes: Uint8Array, record: Uint8Array): Attribute {
  const value = decodeText(bytes);
  return value === undefined ? { kind: 'opaque', value: record } : { kind: 'string', value };
}

function listAttribute(
  type: number,
  lists: { floats: number[]; ints: number[]; strings: (string | undefined)[]; tensors: Tensor[]; graphs: Graph[] },
  record: Uint8Array,
): Attribute | undefined {
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
function defaultAttribute(type: number, record: Uint8Array): Attribute {
  if (type === 1) return { kind: 'float', value: 0 };
  if (type === 2) return { kind: 'int', value: 0 };
  return type === 3 ? { kind: 'string', value: '' } : { kind: 'opaque', value: record };
}

function readFunction(reader: MessageReader): FunctionDefinition {
  const opsets = new RecordedMap<number>();
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: string[] = [];
  const attributeDefaults = new Map<string, Attribute>();
  const nodes: Node[] = [];
  const rest: Uint8Array[] = [];
  let name = '';
  let domain = '';
  let overload = '';
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.text();
        break;
      case 4:
        inputs.push(reader.text());
        break;
      case 5:
        outputs.push(reader.text());
        break;
      case 6:
        attributes.push(reader.text());
        break;
      case 7:
        nodes.push(readNode(reader, nodes.length));
        break;
      case 9:
        opsets.add(reader, readOpset(reader));
        break;
      case 10:
        domain = reader.text();
        break;
      case 11:
        addAttribute(reader, attributeDefaults);
        break;
      case 13:
        overload = reader.text();
        break;
      default:
        rest.push(reader.record());
    }
  }
  checkNotNewer(opsets.map.get('') ?? 0, `function "${printable(name)}"`);
  const definition = {
    name,
    domain: ownDomain(domain),
    overload,
    inputs,
    outputs,
    attributes,
    attributeDefaults,
    nodes,
    opsets: opsets.finish(),
    ...(rest.length > 0 && { rest }),
  };
  return setOrigin(definition, reader.bytes);
}

function ownDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

/** The order of fields in the file, run-length coded: [field, count, field, count, ...]. */
class FieldOrder {
  readonly runs: number[] = [];
  add(field: number): void {
    const last = this.runs.length - 2;
    if (this.runs[last] === field) this.runs[last + 1]!++;
    else this.runs.push(field, 1);
  }
}

/** A map decoded from repeated records, which remembers them while it stays the same object. */
class RecordedMap<V> {
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
