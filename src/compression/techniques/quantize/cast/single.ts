/**
 * Converts float16, bfloat16 and float64 models to float32: replaces the type everywhere, since every operator has
 * float32.
 */
import { freshNames, makeNode, mapSubgraphs, renameUses } from '../../../ir/edit.ts';
import { inlineFunctions } from '../../../graph/passes/inline-functions.ts';
import { fromHost, toHost } from '../../../ir/tensor-data.ts';
import {
  DATA_TYPES,
  type Attribute,
  type DataType,
  type Graph,
  type Model,
  type Node,
  type Tensor,
  type ValueInfo,
} from '../../../ir/types.ts';
import { FLOAT32 } from '../graph-parts.ts';

const OTHERS: ReadonlySet<DataType> = new Set<DataType>(['float16', 'bfloat16', 'float64']);
const OTHER_CODES: ReadonlySet<number> = new Set([...OTHERS].map((dtype) => DATA_TYPES.indexOf(dtype)));
/** Attributes that name an element type. */
const TYPE_ATTRIBUTES: ReadonlySet<string> = new Set([
  'to',
  'dtype',
  'output_dtype',
  'output_datatype',
  'saturate_dtype',
]);

/** True if weights, inputs or outputs are of another float type. */
export function hasOtherFloats({ graph }: Model): boolean {
  return (
    [...graph.initializers.values()].some(({ dtype }) => OTHERS.has(dtype)) ||
    [...graph.inputs, ...graph.outputs].some(({ type }) => type !== null && OTHERS.has(type.dtype)) ||
    graph.nodes.some(({ attributes }) =>
      [...attributes.values()].some((attribute) => attribute.kind === 'tensor' && OTHERS.has(attribute.value.dtype)),
    )
  );
}

/**
 * `keepIO`: inputs and outputs keep their types, by Casts. Also unpacks weights that are half floats for storage only.
 */
export function castToSingle(model: Model, keepIO: boolean): Model {
  if (!hasOtherFloats(model)) return model;
  const inlined = inlineFunctions(model);
  const graph = convertGraph(inlined.graph);
  return { ...inlined, graph: keepIO ? castAtBorder(graph, inlined) : graph };
}

const single = (dtype: DataType): DataType => (OTHERS.has(dtype) ? 'float32' : dtype);

function convertGraph(graph: Graph): Graph {
  return {
    ...graph,
    initializers: new Map([...graph.initializers].map(([name, tensor]) => [name, convertTensor(tensor)])),
    inputs: graph.inputs.map(convertInfo),
    outputs: graph.outputs.map(convertInfo),
    valueInfos: graph.valueInfos.map(convertInfo),
    nodes: graph.nodes.map((node) => convertNode(mapSubgraphs(node, convertGraph))),
  };
}

function convertTensor(tensor: Tensor): Tensor {
  if (!OTHERS.has(tensor.dtype)) return tensor;
  const { dims, data } = toHost(tensor);
  return fromHost(tensor.name, { dtype: 'float32', dims, data: Float32Array.from(data as Float32Array) });
}

const convertInfo = (info: ValueInfo): ValueInfo =>
  info.type && OTHERS.has(info.type.dtype)
    ? { name: info.name, type: { ...info.type, dtype: single(info.type.dtype) } }
    : info;

function convertNode(node: Node): Node {
  const changed = [...node.attributes].map(([name, attribute]): [string, Attribute] => [
    name,
    convertAttribute(name, attribute),
  ]);
  return changed.every(([name, attribute]) => node.attributes.get(name) === attribute)
    ? node
    : { ...node, attributes: new Map(changed) };
}

function convertAttribute(name: string, attribute: Attribute): Attribute {
  if (attribute.kind === 'int' && TYPE_ATTRIBUTES.has(name) && OTHER_CODES.has(attribute.value))
    return { kind: 'int', value: FLOAT32 };
  if (attribute.kind !== 'tensor' || !OTHERS.has(attribute.value.dtype)) return attribute;
  return { kind: 'tensor', value: convertTensor(attribute.value) };
}

/** Restores the types of inputs and outputs, by a Cast each. */
function castAtBorder(graph: Graph, model: Model): Graph {
  const fresh = freshNames(model);
  const before = model.graph;
  const changed = (infos: readonly ValueInfo[]) =>
    infos.filter(({ name, type }) => type !== null && OTHERS.has(type.dtype) && !before.initializers.has(name));
  const ins = new Map(changed(before.inputs).map(({ name }) => [name, fresh(`${name}_float32`)]));
  const outs = new Map(changed(before.outputs).map(({ name }) => [name, fresh(`${name}_float32`)]));
  const renamed = renameUses(graph, new Map([...ins, ...outs]));
  const nodes = renamed.nodes.map((node) =>
    node.outputs.some((name) => outs.has(name))
      ? { ...node, outputs: node.outputs.map((name) => outs.get(name) ?? name) }
      : node,
  );
  const casts = (names: ReadonlyMap<string, string>, infos: readonly ValueInfo[], inwards: boolean) =>
    [...names].map(([name, other]) => {
      const to = inwards
        ? FLOAT32
        : DATA_TYPES.indexOf(infos.find((info) => info.name === name)?.type?.dtype ?? 'undefined');
      return makeNode(
        'Cast',
        [inwards ? name : other],
        [inwards ? other : name],
        { to },
        { name: fresh(`${name}_Cast`) },
      );
    });
  return {
    ...renamed,
    nodes: [...casts(ins, before.inputs, true), ...nodes, ...casts(outs, before.outputs, false)],
    inputs: before.inputs.map((info) => (before.initializers.has(info.name) ? convertInfo(info) : info)),
    outputs: before.outputs,
  };
}
