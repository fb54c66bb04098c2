/** Checks a node's inputs, outputs and attributes against its operator's schema (operator-schemas.ts). */
import { GraphError, printable } from './graph-error.ts';
import { OPERATOR_SCHEMAS } from './operator-schemas.ts';
import type { Attribute, DataType, Node, TensorType } from './types.ts';

/** Number of names; the first `named` of them may not be empty. */
interface Arity {
  readonly min: number;
  readonly max: number;
  readonly named: number;
}

interface AttributeRule {
  /** undefined: a kind that the IR does not distinguish. */
  readonly kind: Attribute['kind'] | undefined;
  readonly required: boolean;
}

interface Schema {
  readonly since: number;
  readonly inputs: Arity;
  /** One letter per input: equal letters (except '.') share an element type; a final '*' repeats the one before. */
  readonly kinship: string;
  readonly outputs: Arity;
  readonly attributes: ReadonlyMap<string, AttributeRule>;
}

/**
 * Applies the rules of the standard's OpSchema::Verify, by which onnxruntime refuses a model. Operators of other
 * domains, and versions that the table lacks, pass.
 * @throws GraphError naming the violation.
 */
export function checkSchema(node: Node, opset: number): void {
  const schema = schemas()
    .get(node.opType)
    ?.findLast(({ since }) => since <= opset);
  if (!schema) return;
  checkNames(node.inputs, schema.inputs, 'input', node.opType);
  checkNames(node.outputs, schema.outputs, 'output', node.opType);
  for (const [name, attribute] of node.attributes) checkAttribute(name, attribute, schema, node.opType);
  for (const [name, { required }] of schema.attributes)
    if (required && !node.attributes.has(name)) throw new GraphError(`its attribute "${name}" is missing`);
}

/**
 * Checks that inputs which share an element type by the schema have the same one.
 * @param types of the node's inputs; null where unknown.
 * @throws GraphError naming the two inputs that differ.
 */
export function checkElementTypes(node: Node, opset: number, types: readonly (TensorType | null)[]): void {
  if (node.domain !== '' || types.length < 2) return;
  const kinship =
    schemas()
      .get(node.opType)
      ?.findLast(({ since }) => since <= opset)?.kinship ?? '';
  const first = new Map<string, { readonly input: number; readonly dtype: DataType }>();
  types.forEach((type, i) => {
    const letter = (kinship.endsWith('*') ? kinship[Math.min(i, kinship.length - 2)] : kinship[i]) ?? '.';
    if (letter === '.' || !type || type.dtype === 'undefined') return;
    const other = first.get(letter);
    if (!other) first.set(letter, { input: i, dtype: type.dtype });
    else if (other.dtype !== type.dtype)
      throw new GraphError(`its input ${i} is ${type.dtype}, but its input ${other.input} is ${other.dtype}`);
  });
}

function checkNames(names: readonly string[], { min, max, named }: Arity, what: string, opType: string): void {
  const takes = min === max ? `${min}` : max === Infinity ? `${min} or more` : `${min} to ${max}`;
  if (names.length < min || names.length > max)
    throw new GraphError(`it has ${plural(names.length, what)}, ${opType} has ${takes}`);
  const empty = names.slice(0, named).indexOf('');
  if (empty >= 0) throw new GraphError(`its ${what} ${empty} is left out, which ${opType} needs`);
}

function checkAttribute(name: string, { kind }: Attribute, schema: Schema, opType: string): void {
  const rule = schema.attributes.get(name);
  if (!rule && name.startsWith('__')) return; // the standard's prefix of private attributes
  if (!rule) throw new GraphError(`${opType} has no attribute "${printable(name)}"`);
  if (kind === 'reference' || kind === 'opaque' || !rule.kind || rule.kind === kind) return;
  throw new GraphError(`attribute "${printable(name)}" holds ${kind} where ${rule.kind} is expected`);
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

const KINDS: ReadonlyMap<string, Attribute['kind']> = new Map([
  ['f', 'float'],
  ['i', 'int'],
  ['s', 'string'],
  ['t', 'tensor'],
  ['g', 'graph'],
  ['F', 'floats'],
  ['I', 'ints'],
  ['S', 'strings'],
  ['T', 'tensors'],
  ['G', 'graphs'],
]);

let parsed: ReadonlyMap<string, readonly Schema[]> | undefined;

function schemas(): ReadonlyMap<string, readonly Schema[]> {
  return (parsed ??= new Map(
    OPERATOR_SCHEMAS.trim()
      .split(/\n(?! )/)
      .map((line) => {
        const [name = '', ...versions] = line.split(/\s+@/);
        return [name, versions.map(parseVersion)];
      }),
  ));
}

function parseVersion(text: string): Schema {
  const [since, inputs = '', outputs = '', ...attributes] = text.split(/\s+/);
  const rules = attributes
    .flatMap((part) => part.split(',').filter(Boolean))
    .map((rule): [string, AttributeRule] => {
      const [name = '', kind = ''] = rule.split(':');
      return [name, { kind: KINDS.get(kind.charAt(0)), required: kind.endsWith('!') }];
    });
  const [names = '', kinship = ''] = inputs.split(':');
  return {
    since: Number(since),
    inputs: parseArity(names),
    kinship,
    outputs: parseArity(outputs),
    attributes: new Map(rules),
  };
}

function parseArity(text: string): Arity {
  const loose = text.startsWith('~');
  const [least, most] = text.replace('~', '').split('-');
  const fewest = Number(least);
  return {
    min: fewest,
    max: most === undefined ? fewest : most === '' ? Infinity : Number(most),
    named: loose ? 0 : fewest,
  };
}
