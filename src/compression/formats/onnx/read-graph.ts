/**
 * GraphProto, NodeProto and AttributeProto: one module, since graphs hold nodes, nodes attributes, and attributes
 * graphs.
 */
import { printable } from '../../ir/graph-error.ts';
import type { Attribute, Graph, Node, Tensor, ValueInfo } from '../../ir/types.ts';
import { defaultAttribute, listAttribute, stringAttribute, type AttributeLists } from './attribute-value.ts';
import { FieldOrder, readFields, type Fields } from './fields.ts';
import { ownDomain } from './opset.ts';
import { setOrigin } from './origin.ts';
import { readSparseTensor } from './read-sparse-tensor.ts';
import { readTensor } from './read-tensor.ts';
import { readValueInfo } from './read-type.ts';
import { decodeText, type MessageReader } from './wire.ts';

interface GraphParts {
  name: string;
  readonly nodes: Node[];
  readonly initializers: Map<string, Tensor>;
  readonly inputs: ValueInfo[];
  readonly outputs: ValueInfo[];
  readonly valueInfos: ValueInfo[];
}

const GRAPH_FIELDS: Fields<GraphParts> = {
  1: (reader, { nodes }) => nodes.push(readNode(reader, nodes.length)),
  2: (reader, graph) => (graph.name = reader.text()),
  5: (reader, { initializers }) => {
    addInitializer(reader, readTensor(reader.message(() => `initializer ${initializers.size}`)), initializers);
  },
  11: (reader, { inputs }) =>
    inputs.push(named(reader, readValueInfo(reader.message(() => `graph input ${inputs.length}`)))),
  12: (reader, { outputs }) =>
    outputs.push(named(reader, readValueInfo(reader.message(() => `graph output ${outputs.length}`)))),
  13: (reader, { valueInfos }) =>
    valueInfos.push(readValueInfo(reader.message(() => `value info ${valueInfos.length}`))),
  15: (reader, { initializers }) => {
    const sparse = reader.message(() => `initializer ${initializers.size} (sparse)`);
    addInitializer(reader, readSparseTensor(sparse), initializers);
  },
};

export function readGraph(reader: MessageReader): Graph {
  const order = new FieldOrder();
  const parts: GraphParts = {
    name: '',
    nodes: [],
    initializers: new Map(),
    inputs: [],
    outputs: [],
    valueInfos: [],
  };
  const rest = readFields(reader, parts, GRAPH_FIELDS, (field) => order.add(field));
  return setOrigin({ ...parts, ...(rest.length > 0 && { rest }), order: order.runs }, reader.bytes);
}

function named(reader: MessageReader, info: ValueInfo): ValueInfo {
  if (info.name === '') throw reader.error('an input or output has no name');
  return info;
}

function addInitializer(reader: MessageReader, tensor: Tensor, initializers: Map<string, Tensor>): void {
  if (tensor.name === '') throw reader.error(`initializer ${initializers.size} has no name`);
  if (initializers.has(tensor.name)) throw reader.error(`two initializers named "${printable(tensor.name)}"`);
  initializers.set(tensor.name, tensor);
}

interface NodeParts {
  name: string;
  opType: string;
  domain: string;
  overload: string;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly attributes: Map<string, Attribute>;
}

const NODE_FIELDS: Fields<NodeParts> = {
  1: (reader, { inputs }) => inputs.push(reader.text()),
  2: (reader, { outputs }) => outputs.push(reader.text()),
  3: (reader, node) => (node.name = reader.text()),
  4: (reader, node) => (node.opType = reader.text()),
  5: (reader, { attributes }) => addAttribute(reader, attributes),
  7: (reader, node) => (node.domain = reader.text()),
  8: (reader, node) => (node.overload = reader.text()),
};

export function readNode(parent: MessageReader, index: number): Node {
  const parts: NodeParts = {
    name: '',
    opType: '',
    domain: '',
    overload: '',
    inputs: [],
    outputs: [],
    attributes: new Map(),
  };
  const reader = parent.message(() => `node ${index} "${printable(parts.name)}" (${printable(parts.opType)})`);
  const rest = readFields(reader, parts, NODE_FIELDS);
  if (parts.opType === '') throw reader.error('a node has no operator type');
  const { name, opType, domain, overload, inputs, outputs, attributes } = parts;
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

export function addAttribute(parent: MessageReader, attributes: Map<string, Attribute>): void {
  const [name, attribute] = readAttribute(parent.message(() => 'attribute'));
  if (attributes.has(name)) throw parent.error(`two attributes named "${printable(name)}"`);
  attributes.set(name, attribute);
}

interface AttributeParts extends AttributeLists {
  name: string;
  type: number;
  reference: string;
  value: Attribute | undefined;
}

const VALUE_FIELDS: Fields<AttributeParts> = {
  2: (reader, attribute) => (attribute.value = { kind: 'float', value: reader.float() }),
  3: (reader, attribute) => (attribute.value = { kind: 'int', value: reader.int() }),
  4: (reader, attribute) => (attribute.value = stringAttribute(reader.payload(), reader.bytes)),
  5: (reader, attribute) => (attribute.value = { kind: 'tensor', value: readTensor(inside(reader, attribute)) }),
  6: (reader, attribute) => (attribute.value = { kind: 'graph', value: readGraph(inside(reader, attribute)) }),
  7: (reader, { floats }) => reader.floats(floats),
  8: (reader, { ints }) => reader.ints(ints),
  9: (reader, { strings }) => strings.push(decodeText(reader.payload())),
  10: (reader, attribute) => attribute.tensors.push(readTensor(inside(reader, attribute))),
  11: (reader, attribute) => attribute.graphs.push(readGraph(inside(reader, attribute))),
};

const ATTRIBUTE_FIELDS: Fields<AttributeParts> = {
  ...VALUE_FIELDS,
  1: (reader, attribute) => (attribute.name = reader.text()),
  20: (reader, attribute) => (attribute.type = reader.int()),
  21: (reader, attribute) => (attribute.reference = reader.text()),
};

const inside = (reader: MessageReader, { name }: AttributeParts): MessageReader =>
  reader.message(() => `attribute "${printable(name)}"`);

/** Field number of each AttributeProto.AttributeType. */
const FIELD_OF_TYPE = [-1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 22, 23, 14, 15];

/**
 * AttributeProto's fields by the type code that selects them; the type is missing in files of IR version 1, where the
 * field present decides.
 */
function readAttribute(reader: MessageReader): [string, Attribute] {
  const parts: AttributeParts = {
    name: '',
    type: 0,
    reference: '',
    value: undefined,
    floats: [],
    ints: [],
    strings: [],
    tensors: [],
    graphs: [],
  };
  let seenType = 0;
  readFields(reader, parts, ATTRIBUTE_FIELDS, (field) => {
    if (FIELD_OF_TYPE.includes(field)) seenType = FIELD_OF_TYPE.indexOf(field);
  });
  const { name, type, reference, value } = parts;
  if (reference !== '') return [name, setOrigin({ kind: 'reference', value: reference }, reader.bytes)];
  const list = listAttribute(type || seenType, parts, reader.bytes);
  return [name, setOrigin(list ?? value ?? defaultAttribute(type, reader.bytes), reader.bytes)];
}
