/** Values of Constant nodes, in any of the attribute forms. */
import { outputName } from './checked-access.ts';
import { fromHost, hostOf } from './tensor-data.ts';
import type { Attribute, DataType, Node, Tensor } from './types.ts';

/**
 * The value of a Constant node as a tensor named after its output; null for other nodes, sparse values, and references
 * inside functions.
 */
export function constantTensor(node: Node): Tensor | null {
  if (node.opType !== 'Constant' || node.domain !== '' || node.outputs.length !== 1) return null;
  const name = outputName(node);
  for (const [key, attribute] of node.attributes) {
    const tensor = FORMS.get(key)?.(name, attribute);
    if (tensor) return tensor;
  }
  return null;
}

type Form = (name: string, attribute: Attribute) => Tensor | null;

const FORMS: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['value', (name, attribute) => (attribute.kind === 'tensor' ? { ...attribute.value, name } : null)],
  [
    'value_float',
    (name, attribute) => (attribute.kind === 'float' ? numbers(name, 'float32', [], [attribute.value]) : null),
  ],
  [
    'value_floats',
    (name, attribute) =>
      attribute.kind === 'floats' ? numbers(name, 'float32', [attribute.value.length], attribute.value) : null,
  ],
  ['value_int', (name, attribute) => (attribute.kind === 'int' ? numbers(name, 'int64', [], [attribute.value]) : null)],
  [
    'value_ints',
    (name, attribute) =>
      attribute.kind === 'ints' ? numbers(name, 'int64', [attribute.value.length], attribute.value) : null,
  ],
  ['value_string', (name, attribute) => (attribute.kind === 'string' ? strings(name, [], [attribute.value]) : null)],
  [
    'value_strings',
    (name, attribute) =>
      attribute.kind === 'strings' ? strings(name, [attribute.value.length], attribute.value) : null,
  ],
]);

function numbers(name: string, dtype: DataType, dims: readonly number[], values: readonly number[]): Tensor {
  return fromHost(name, hostOf(dtype, dims, values));
}

function strings(name: string, dims: readonly number[], values: readonly string[]): Tensor {
  return fromHost(name, { dtype: 'string', dims, data: values });
}
