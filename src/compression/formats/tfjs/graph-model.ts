/**
 * A frozen TensorFlow graph, as TF.js stores it -> ONNX. Tables list the operators; others are
 * refused by name.
 */
import { existing } from '../../ir/checked-access.ts';
import { LatheError } from '../../../errors.ts';
import { inferShapes } from '../../graph/infer.ts';
import type { Model } from '../../ir/types.ts';
import { GraphBuilder } from '../graph-builder.ts';
import type { TfjsWeight } from './manifest.ts';
import {
  plainValue,
  typeOf,
  UnsupportedNode,
  type AttrValue,
  type NodeConverter,
  type NodeDef,
  type TfValue,
} from './node.ts';
import { ELEMENTWISE } from './ops/elementwise.ts';
import { LINEAR } from './ops/linear.ts';
import { MOVEMENT } from './ops/movement.ts';
import { SELECTION } from './ops/selection.ts';

/** Loops and branches on tensors, as in TensorFlow 1 and frozen graphs. */
const CONTROL_FLOW: ReadonlySet<string> = new Set([
  'Enter',
  'Exit',
  'Merge',
  'Switch',
  'NextIteration',
  'LoopCond',
  'While',
  'StatelessWhile',
  'If',
  'StatelessIf',
]);

const CONVERTERS: ReadonlyMap<string, NodeConverter> = new Map(
  Object.entries({ ...ELEMENTWISE, ...LINEAR, ...MOVEMENT, ...SELECTION }),
);

/** Names of the operators that can be converted. */
export const TENSORFLOW_OPERATORS: readonly string[] = [
  'Const',
  'Placeholder',
  'PlaceholderWithDefault',
  ...CONVERTERS.keys(),
];

export interface GraphDef {
  readonly node: readonly NodeDef[];
}

interface SignatureTensor {
  readonly name: string;
  readonly dtype?: string;
  readonly tensorShape?: AttrValue['shape'];
}
export interface Signature {
  readonly inputs?: Readonly<Record<string, SignatureTensor>>;
  readonly outputs?: Readonly<Record<string, SignatureTensor>>;
}

/** Converts the graph; inputs and outputs are the signature's, or the placeholders and the nodes without readers. */
export function convertGraphModel(
  graph: GraphDef,
  weights: ReadonlyMap<string, TfjsWeight>,
  signature: Signature | undefined,
): Model {
  const b = new GraphBuilder();
  const nodes = new Map(graph.node.map((node) => [node.name, node]));
  const done = new Map<string, readonly TfValue[]>();
  const outputs = outputTensors(graph, signature);
  for (const node of graph.node)
    if (node.op === 'Placeholder')
      done.set(node.name, [plainValue(b.input(node.name, placeholderType(node), placeholderShape(node)))]);
  b.reserve(outputs.map(({ name }) => name));
  for (const { tensor } of outputs) convertUpTo(b, nodes, nodeName(tensor), weights, done);
  for (const { name, tensor, shape } of outputs) {
    const { value, channelsFirst } = existing(valueOf(done, tensor), `the output "${tensor}"`);
    b.output(
      name,
      channelsFirst ? b.op('Transpose', [value], { perm: [0, 2, 3, 1] }, `${name}_channels_last`) : value,
      'float32',
      shape,
    );
  }
  return withOutputTypes(b.build('tfjs-graph-model', 'TF.js'));
}

/** Infers the types of the outputs from the operators: files seldom give them. */
function withOutputTypes(model: Model): Model {
  const declared = model.graph.outputs;
  const table = inferShapes({
    ...model,
    graph: { ...model.graph, outputs: declared.map(({ name }) => ({ name, type: null })) },
  });
  const outputs = declared.map((output) => ({
    ...output,
    type: output.type && { ...output.type, dtype: table.typeOf(output.name)?.dtype ?? output.type.dtype },
  }));
  return { ...model, graph: { ...model.graph, outputs } };
}

const nodeName = (tensor: string): string => tensor.replace(/^\^/, '').replace(/:.*$/s, '');
const outputIndex = (tensor: string): number => Number(tensor.split(':')[1] ?? 0);
const valueOf = (done: ReadonlyMap<string, readonly TfValue[]>, tensor: string): TfValue | undefined =>
  done.get(nodeName(tensor))?.[outputIndex(tensor)];

function outputTensors(
  graph: GraphDef,
  signature: Signature | undefined,
): { name: string; tensor: string; shape: (number | null)[] | null }[] {
  const declared = Object.entries(signature?.outputs ?? {});
  if (declared.length > 0)
    return declared.map(([key, { name, tensorShape }]) => ({
      name: outputName(key, name),
      tensor: name,
      shape: shapeOf(tensorShape),
    }));
  const read = new Set(graph.node.flatMap((node) => (node.input ?? []).map(nodeName)));
  return graph.node
    .filter((node) => !read.has(node.name) && node.op !== 'NoOp' && node.op !== 'Const')
    .map((node) => ({ name: node.name, tensor: node.name, shape: null }));
}

/** TF.js's own names: the signature's key, which for unnamed outputs is the tensor's name. */
const outputName = (key: string, tensor: string): string => (key === tensor ? nodeName(tensor) : key);

const shapeOf = (shape: AttrValue['shape']): (number | null)[] | null =>
  !shape || shape.unknownRank ? null : (shape.dim ?? []).map(({ size }) => (Number(size) < 0 ? null : Number(size)));

const placeholderShape = (node: NodeDef): (number | string | null)[] => {
  const shape = shapeOf(node.attr?.['shape']?.shape);
  if (!shape)
    throw new LatheError('unsupported-operator', `node "${node.name}" (Placeholder): its rank is unknown`, [
      { path: node.name, message: 'unknown rank' },
    ]);
  return shape.map((size, axis) => size ?? (axis === 0 ? 'batch' : null));
};

const placeholderType = (node: NodeDef) => located(node, () => typeOf(node.attr?.['dtype']?.type));

/** Converts a node after everything it reads; an explicit stack, since graphs may be chains of any length. */
function convertUpTo(
  b: GraphBuilder,
  nodes: ReadonlyMap<string, NodeDef>,
  target: string,
  weights: ReadonlyMap<string, TfjsWeight>,
  done: Map<string, readonly TfValue[]>,
): void {
  const stack = [target];
  const entered = new Set<string>();
  for (let name = stack.at(-1); name !== undefined; name = stack.at(-1)) {
    if (done.has(name)) {
      stack.pop();
      continue;
    }
    const node = nodes.get(name);
    if (!node)
      throw new LatheError('malformed-model', `The graph reads "${name}", which no node produces`, [
        { path: name, message: 'no node produces it' },
      ]);
    if (CONTROL_FLOW.has(node.op))
      throw new LatheError(
        'unsupported-operator',
        `node "${name}" (${node.op}): loops and branches of TensorFlow have no conversion to ONNX; cut the ` +
          'model before them',
        [{ path: name, message: `control flow ${node.op}` }],
      );
    const waiting = dataInputs(node)
      .map(nodeName)
      .filter((input) => !done.has(input));
    if (waiting.length > 0) {
      if (entered.has(name))
        throw new LatheError('malformed-model', `node "${name}" (${node.op}): is part of a cycle`, [
          { path: name, message: 'is part of a cycle' },
        ]);
      entered.add(name);
      stack.push(...waiting);
      continue;
    }
    done.set(name, convertNode(b, node, weights, done));
    stack.pop();
  }
}

/** Inputs without control edges. */
const dataInputs = (node: NodeDef): string[] => (node.input ?? []).filter((input) => !input.startsWith('^'));

function convertNode(
  b: GraphBuilder,
  node: NodeDef,
  weights: ReadonlyMap<string, TfjsWeight>,
  done: ReadonlyMap<string, readonly TfValue[]>,
): readonly TfValue[] {
  if (node.op === 'Const') return [constant(b, node, weights)];
  if (node.op === 'PlaceholderWithDefault')
    return located(node, () => {
      const [input = ''] = node.input ?? [];
      return existing(done.get(nodeName(input)), `its input "${input}"`);
    });
  const converter = CONVERTERS.get(node.op);
  if (!converter)
    throw new LatheError(
      'unsupported-operator',
      `node "${node.name}" (${node.op}): this TensorFlow operator has no conversion to ONNX`,
      [{ path: node.name, message: `operator ${node.op}` }],
    );
  const inputs = dataInputs(node).map((input) => {
    const value = valueOf(done, input);
    if (!value)
      throw new LatheError(
        'malformed-model',
        `node "${node.name}" (${node.op}): reads "${input}", which does not exist`,
        [{ path: node.name, message: `reads "${input}"` }],
      );
    return value;
  });
  return located(node, () => [converter({ b, node, inputs })].flat());
}

/**
 * Small constants that only converters read (axes, shapes) cost nothing: unused initializers are dropped by whoever
 * writes the file.
 */
function constant(b: GraphBuilder, node: NodeDef, weights: ReadonlyMap<string, TfjsWeight>): TfValue {
  const weight = weights.get(node.name);
  if (!weight)
    throw new LatheError('malformed-model', `node "${node.name}" (Const): the manifest holds no weight for it`, [
      { path: node.name, message: 'no weight' },
    ]);
  return {
    value: b.weight(node.name, weight.dims, weight.values, weight.dtype),
    channelsFirst: false,
    constant: weight,
  };
}

function located<T>(node: NodeDef, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof LatheError) throw error;
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof UnsupportedNode ? 'unsupported-operator' : 'malformed-model';
    throw new LatheError(code, `node "${node.name}" (${node.op}): ${message}`, [{ path: node.name, message }], {
      cause: error,
    });
  }
}
