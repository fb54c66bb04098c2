/** Seeded damage to valid models, as a careless tool or an attacker could write it; the file stays readable. */
import { allOperators } from '../../src/compression/operators/registry.ts';
import { BITS, byteLength } from '../../src/compression/ir/tensor-data.ts';
import {
  DATA_TYPES,
  type Attribute,
  type DataType,
  type Dim,
  type Model,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../src/compression/ir/types.ts';

/** Uniform in [0, 1). */
export type Random = () => number;

export function pick<T>(items: readonly T[], random: Random): T {
  return items[Math.floor(random() * items.length)]!;
}

const INTS = [
  0,
  1,
  -1,
  2,
  3,
  -2,
  7,
  64,
  -(2 ** 31),
  2 ** 31,
  2 ** 40,
  Number.MAX_SAFE_INTEGER,
  -Number.MAX_SAFE_INTEGER,
];
const FLOATS = [0, -1, NaN, Infinity, -Infinity, 1e-45, 3e38, 0.5];
const STRINGS = [
  '',
  'SAME_UPPER',
  'VALID',
  'linear',
  'constructor',
  '__proto__',
  'a,b->',
  '...',
  'ij,jk->ik',
  '\u0000',
  '日本語',
];
const DIMS: readonly Dim[] = [0, 1, 2, 3, 5, 2 ** 16, 2 ** 31, Number.MAX_SAFE_INTEGER, 'n', 'm', '', null];
const TYPES = DATA_TYPES.filter((dtype) => dtype !== 'undefined');

const several = <T>(items: readonly T[], random: Random, most = 5): T[] =>
  Array.from({ length: Math.floor(random() * (most + 1)) }, () => pick(items, random));

function someAttribute(random: Random): Attribute {
  const kind = pick(['float', 'int', 'string', 'floats', 'ints', 'strings', 'tensor', 'graph'] as const, random);
  switch (kind) {
    case 'float':
      return { kind, value: pick(FLOATS, random) };
    case 'int':
      return { kind, value: pick(INTS, random) };
    case 'string':
      return { kind, value: pick(STRINGS, random) };
    case 'floats':
      return { kind, value: several(FLOATS, random) };
    case 'ints':
      return { kind, value: several(INTS, random) };
    case 'strings':
      return { kind, value: several(STRINGS, random) };
    case 'tensor':
      return { kind, value: someTensor('', random) };
    case 'graph':
      return {
        kind,
        value: { name: 'inner', nodes: [], initializers: new Map(), inputs: [], outputs: [], valueInfos: [] },
      };
  }
}

/** Another value of the kind that the attribute has. */
function sameKind(attribute: Attribute, random: Random): Attribute {
  for (let tries = 0; tries < 50; tries++) {
    const other = someAttribute(random);
    if (other.kind === attribute.kind) return other;
  }
  return attribute;
}

/** Up to 2^10 elements of any bits: NaN, huge and negative numbers among them. */
function someTensor(name: string, random: Random, dtype: DataType = pick(TYPES, random)): Tensor {
  const dims = several([0, 1, 2, 3, 4], random, 4);
  return filled(name, dtype, dims, random);
}

function filled(name: string, dtype: DataType, dims: readonly number[], random: Random): Tensor {
  const count = dims.reduce((a, b) => a * b, 1);
  if (dtype === 'string')
    return {
      name,
      dtype,
      dims,
      bytes: new Uint8Array(0),
      strings: Array.from({ length: count }, () => new TextEncoder().encode(pick(STRINGS, random))),
    };
  const style = random();
  const bytes = Uint8Array.from({ length: byteLength(dtype, dims) }, () =>
    style < 0.3 ? 0xff : style < 0.5 ? 0 : Math.floor(random() * 256),
  );
  return { name, dtype, dims, bytes };
}

type Mutation = (model: Model, random: Random) => Model;

const withGraph = (model: Model, change: Partial<Model['graph']>): Model => ({
  ...model,
  graph: { ...model.graph, ...change },
});

function onNode(change: (node: Node, random: Random, model: Model) => Node): Mutation {
  return (model, random) => {
    const index = Math.floor(random() * model.graph.nodes.length);
    return withGraph(model, {
      nodes: model.graph.nodes.map((node, i) => (i === index ? change(node, random, model) : node)),
    });
  };
}

function onTensor(change: (tensor: Tensor, random: Random) => Tensor): Mutation {
  return (model, random) => {
    const names = [...model.graph.initializers.keys()];
    if (names.length === 0) return model;
    const chosen = pick(names, random);
    return withGraph(model, {
      initializers: new Map(
        [...model.graph.initializers].map(([name, tensor]) => [
          name,
          name === chosen ? change(tensor, random) : tensor,
        ]),
      ),
    });
  };
}

function onInput(change: (input: ValueInfo, random: Random) => ValueInfo): Mutation {
  return (model, random) => {
    const index = Math.floor(random() * model.graph.inputs.length);
    return withGraph(model, {
      inputs: model.graph.inputs.map((input, i) => (i === index ? change(input, random) : input)),
    });
  };
}

const spliced = <T>(items: readonly T[], at: number, remove: number, ...more: readonly T[]): T[] => [
  ...items.slice(0, at),
  ...more,
  ...items.slice(at + remove),
];
const place = (items: readonly unknown[], random: Random): number => Math.floor(random() * (items.length + 1));

const values = (model: Model): string[] => [
  ...model.graph.inputs.map(({ name }) => name),
  ...model.graph.initializers.keys(),
  '',
];

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'an attribute of another kind': onNode((node, random) => {
    const names = [...node.attributes.keys()];
    return names.length === 0
      ? node
      : { ...node, attributes: new Map(node.attributes).set(pick(names, random), someAttribute(random)) };
  }),
  'an attribute of another value': onNode((node, random) => ({
    ...node,
    attributes: new Map(
      [...node.attributes].map(([name, attribute]) => [name, random() < 0.5 ? sameKind(attribute, random) : attribute]),
    ),
  })),
  'an attribute less': onNode((node, random) => ({
    ...node,
    attributes: new Map([...node.attributes].filter(() => random() < 0.5)),
  })),
  'an attribute more': onNode((node, random) => ({
    ...node,
    attributes: new Map(node.attributes).set(
      pick(['axis', 'axes', 'mode', 'to', 'perm', 'pads', 'dims'], random),
      someAttribute(random),
    ),
  })),
  'an input less': onNode((node, random) => ({ ...node, inputs: spliced(node.inputs, place(node.inputs, random), 1) })),
  'an input more': onNode((node, random, model) => ({
    ...node,
    inputs: spliced(node.inputs, place(node.inputs, random), 0, pick(values(model), random)),
  })),
  'another input': onNode((node, random, model) => ({
    ...node,
    inputs: spliced(node.inputs, place(node.inputs, random), 1, pick(values(model), random)),
  })),
  'an output more': onNode((node) => ({ ...node, outputs: [...node.outputs, 'more'] })),
  'another operator': onNode((node, random) => {
    const { type, domain } = pick(allOperators(), random);
    return { ...node, opType: type, domain };
  }),
  'another opset': (model, random) => ({
    ...model,
    opsets: new Map(model.opsets).set('', 1 + Math.floor(random() * 26)),
  }),
  'another element type of an input': onInput((input, random) => ({
    ...input,
    type: { dtype: pick(TYPES, random), shape: input.type?.shape ?? null },
  })),
  'another shape of an input': onInput((input, random) => ({
    ...input,
    type: { dtype: input.type?.dtype ?? 'float32', shape: random() < 0.1 ? null : several(DIMS, random) },
  })),
  'another size of an input': onInput((input, random) => ({
    ...input,
    type: input.type && {
      ...input.type,
      shape: input.type.shape?.map((dim) => (random() < 0.4 ? pick(DIMS, random) : dim)) ?? null,
    },
  })),
  'another tensor': onTensor(({ name, dtype }, random) => someTensor(name, random, random() < 0.5 ? dtype : undefined)),
  'other elements': onTensor(({ name, dtype, dims }, random) => filled(name, dtype, dims, random)),
  'no elements': onTensor(({ name, dtype, dims }) =>
    BITS[dtype] === 0
      ? { name, dtype, dims: [0], bytes: new Uint8Array(0), strings: [] }
      : { name, dtype, dims: dims.map(() => 0), bytes: new Uint8Array(dims.length === 0 ? byteLength(dtype, []) : 0) },
  ),
};

/** The model with one to three things wrong. */
export function damaged(model: Model, random: Random): { readonly model: Model; readonly what: string } {
  const what: string[] = [];
  let current = model;
  for (let i = Math.floor(random() * 3); i >= 0; i--) {
    const name = pick(Object.keys(MUTATIONS), random);
    what.push(name);
    current = MUTATIONS[name]!(current, random);
  }
  return { model: current, what: what.join(', ') };
}
