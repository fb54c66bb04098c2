/**
 * ONNX file -> representation. Tensor bytes are views on the file. What the representation does not model is carried as
 * raw records, and every object remembers the bytes it came from (origin.ts), so that `writeOnnx` reproduces what was
 * not changed byte for byte.
 */
import type { FunctionDefinition, Graph, Model } from '../../ir/types.ts';
import { FieldOrder, readFields, RecordedMap, type Fields } from './fields.ts';
import { checkOpset, readOpset } from './opset.ts';
import { setOrigin } from './origin.ts';
import { readFunction } from './read-function.ts';
import { readGraph } from './read-graph.ts';
import { MessageReader } from './wire.ts';

interface ModelParts {
  irVersion: number;
  producerName: string | undefined;
  graph: Graph | undefined;
  readonly opsets: RecordedMap<number>;
  readonly metadata: RecordedMap<string>;
  readonly functions: FunctionDefinition[];
}

const MODEL_FIELDS: Fields<ModelParts> = {
  1: (reader, model) => (model.irVersion = reader.int()),
  2: (reader, model) => (model.producerName = reader.text()),
  7: (reader, model) => (model.graph = readGraph(reader.message(() => 'graph'))),
  8: (reader, { opsets }) => opsets.add(reader, readOpset(reader)),
  14: (reader, { metadata }) => metadata.add(reader, readPair(reader.message(() => 'metadata'))),
  25: (reader, { functions }) => functions.push(readFunction(reader.message(() => `function ${functions.length}`))),
};

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
  const parts: ModelParts = {
    irVersion: 0,
    producerName: undefined,
    graph: undefined,
    opsets: new RecordedMap(),
    metadata: new RecordedMap(),
    functions: [],
  };
  const rest = readFields(reader, parts, MODEL_FIELDS, (field) => order.add(field));
  const { irVersion, producerName, graph, opsets, metadata, functions } = parts;
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
