/**
 * Writes trained values back into the graph they came from: replaces initializers and Constant nodes in place and keeps
 * everything else as the same objects.
 */
import { constantTensor } from '../ir/constants.ts';
import { mapSubgraphs, subgraphs } from '../ir/edit.ts';
import { withCopies, type Copy } from '../graph/passes/separate-statistics.ts';
import { fromHost, isFloat, toHost } from '../ir/tensor-data.ts';
import type { Attribute, Graph, Model, Node, Tensor } from '../ir/types.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import type { Parameter } from './network.ts';
import { uploadConstant } from '../operators/transfer.ts';
import { invert } from './slot.ts';

/**
 * Every constant by name, initializers and the outputs of Constant nodes; those of branches and bodies too, unless the
 * name is known further out.
 */
export function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map<string, Tensor>(ownConstants(graph));
  for (const node of graph.nodes) {
    for (const { graph: inner } of subgraphs(node))
      for (const [name, tensor] of constantsOf(inner)) if (!constants.has(name)) constants.set(name, tensor);
  }
  return constants;
}

function ownConstants(graph: Graph): Map<string, Tensor> {
  const constants = new Map<string, Tensor>(graph.initializers);
  for (const node of graph.nodes) {
    const tensor = constantTensor(node);
    if (tensor) constants.set(tensor.name, tensor);
  }
  return constants;
}

/** A weight of a model in the parameter's physical layout. */
export function readParameter(tensor: Tensor, parameter: Parameter): TfTensor {
  if (!isFloat(tensor.dtype) || tensor.dims.join() !== parameter.dims.join()) {
    throw new Error(
      `Weight "${parameter.name}" is ${tensor.dtype} [${tensor.dims.join(', ')}], ` +
        `but the network has a float weight of shape [${parameter.dims.join(', ')}]`,
    );
  }
  const inOrder = uploadConstant(tensor);
  return parameter.perm ? tf.transpose(inOrder, [...parameter.perm]) : inOrder;
}

/**
 * The model with the variables' present values, each rounded to its own element type. A weight whose bytes come out
 * equal stays the same object; a copy whose bytes do stays in its origin.
 */
export async function writeBack(
  model: Model,
  parameters: readonly Parameter[],
  copies: readonly Copy[],
): Promise<Model> {
  const constants = constantsOf(model.graph);
  const changed = new Map<string, Tensor>();
  for (const parameter of parameters) {
    const old = constants.get(parameter.origin);
    if (!old) throw new Error(`The model has no weight "${parameter.origin}" to write back to`);
    const bytes = await present(parameter, old);
    if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).equals(old.bytes))
      changed.set(parameter.name, { ...old, name: parameter.name, bytes });
  }
  if (changed.size === 0) return model;
  return withCopies(
    { ...model, graph: replaceConstants(model.graph, changed) },
    copies.filter(({ name }) => changed.has(name)),
    changed,
  );
}

async function present(parameter: Parameter, old: Tensor): Promise<Uint8Array> {
  const tensor = tf.tidy(() =>
    parameter.perm
      ? tf.transpose(parameter.variable, invert(parameter.perm))
      : tf.clone(parameter.variable as TfTensor),
  );
  const data = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return fromHost(old.name, { dtype: old.dtype, dims: old.dims, data }).bytes;
}

/**
 * The graph with other values for these constants. In a body, a name that is known further out is another constant.
 * Graphs without a changed constant stay the same objects.
 */
export function replaceConstants(graph: Graph, changed: ReadonlyMap<string, Tensor>): Graph {
  const own = ownConstants(graph);
  const inner = new Map([...changed].filter(([name]) => !own.has(name)));
  const nodes = graph.nodes.map((node) => {
    const tensor = changed.get(node.outputs[0] ?? '');
    if (tensor && constantTensor(node)) return withValue(node, tensor);
    return inner.size > 0 ? mapSubgraphs(node, (body) => replaceConstants(body, inner)) : node;
  });
  if (
    ![...graph.initializers.keys()].some((name) => changed.has(name)) &&
    nodes.every((node, i) => node === graph.nodes[i])
  )
    return graph;
  return {
    ...graph,
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, changed.get(name) ?? tensor])),
    nodes,
  };
}

/** The Constant node with another value, in the attribute form it has. */
function withValue(node: Node, tensor: Tensor): Node {
  const attributes = new Map(node.attributes);
  for (const [name, attribute] of node.attributes) {
    const next = withData(attribute, tensor);
    if (next) attributes.set(name, next);
  }
  return { ...node, attributes };
}

function withData(attribute: Attribute, tensor: Tensor): Attribute | null {
  const numbers = (): number[] => Array.from(toHost(tensor).data as Float32Array);
  if (attribute.kind === 'tensor') return { kind: 'tensor', value: { ...attribute.value, bytes: tensor.bytes } };
  if (attribute.kind === 'floats') return { kind: 'floats', value: numbers() };
  if (attribute.kind !== 'float') return null;
  const [value] = numbers();
  return value === undefined ? null : { kind: 'float', value };
}
