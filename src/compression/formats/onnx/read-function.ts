/** FunctionProto: an operator defined by a graph of others. */
import { printable } from '../../ir/graph-error.ts';
import type { Attribute, FunctionDefinition, Node } from '../../ir/types.ts';
import { readFields, RecordedMap, type Fields } from './fields.ts';
import { checkNotNewer, ownDomain, readOpset } from './opset.ts';
import { setOrigin } from './origin.ts';
import { addAttribute, readNode } from './read-graph.ts';
import type { MessageReader } from './wire.ts';

interface FunctionParts {
  name: string;
  domain: string;
  overload: string;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly attributes: string[];
  readonly attributeDefaults: Map<string, Attribute>;
  readonly nodes: Node[];
  readonly opsets: RecordedMap<number>;
}

const FUNCTION_FIELDS: Fields<FunctionParts> = {
  1: (reader, definition) => (definition.name = reader.text()),
  4: (reader, { inputs }) => inputs.push(reader.text()),
  5: (reader, { outputs }) => outputs.push(reader.text()),
  6: (reader, { attributes }) => attributes.push(reader.text()),
  7: (reader, { nodes }) => nodes.push(readNode(reader, nodes.length)),
  9: (reader, { opsets }) => opsets.add(reader, readOpset(reader)),
  10: (reader, definition) => (definition.domain = reader.text()),
  11: (reader, { attributeDefaults }) => addAttribute(reader, attributeDefaults),
  13: (reader, definition) => (definition.overload = reader.text()),
};

export function readFunction(reader: MessageReader): FunctionDefinition {
  const parts: FunctionParts = {
    name: '',
    domain: '',
    overload: '',
    inputs: [],
    outputs: [],
    attributes: [],
    attributeDefaults: new Map(),
    nodes: [],
    opsets: new RecordedMap(),
  };
  const rest = readFields(reader, parts, FUNCTION_FIELDS);
  checkNotNewer(parts.opsets.map.get('') ?? 0, `function "${printable(parts.name)}"`);
  const definition = {
    ...parts,
    domain: ownDomain(parts.domain),
    opsets: parts.opsets.finish(),
    ...(rest.length > 0 && { rest }),
  };
  return setOrigin(definition, reader.bytes);
}
