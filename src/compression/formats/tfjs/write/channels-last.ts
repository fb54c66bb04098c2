/**
 * The model with its image operators in channels-last form, the only one TF.js's kernels take. Such nodes go into a
 * domain of their own: data [n, ...spatial, c], weights and attributes as in ONNX. Each is first put
 * between two transposes; `sinkTransposes` removes those that cancel.
 */
import { itemOf } from '../../../ir/checked-access.ts';
import { freshNames, makeNode } from '../../../ir/edit.ts';
import { inferShapes, type TypeTable } from '../../../graph/infer.ts';
import { sinkTransposes } from '../../../graph/passes/sink-transposes.ts';
import type { Dim, Model, Node, TensorType, ValueInfo } from '../../../ir/types.ts';

export const CHANNELS_LAST = 'channels-last';

/** Operators whose first input and first output are [n, c, ...spatial]. */
const SPATIAL: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'Resize',
  'DepthToSpace',
  'SpaceToDepth',
]);

export function toChannelsLast(model: Model): Model {
  const table = inferShapes(model);
  const fresh = freshNames(model);
  const infos: ValueInfo[] = [];
  const nodes = model.graph.nodes.flatMap((node) => {
    for (const name of node.outputs) remember(infos, name, table);
    const type = node.domain === '' && SPATIAL.has(node.opType) ? table.typeOf(node.inputs[0] ?? '') : null;
    const rank = type?.shape?.length ?? 0;
    return rank < 3 ? [node] : wrap(node, { rank, fresh, infos, table });
  });
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const opsets = new Map(model.opsets).set(CHANNELS_LAST, 1);
  return sinkTransposes({
    ...model,
    opsets,
    graph: { ...model.graph, nodes, valueInfos: infos.filter(({ name }) => !outputs.has(name)) },
  });
}

interface Wrapping {
  readonly rank: number;
  readonly fresh: (base: string) => string;
  readonly infos: ValueInfo[];
  readonly table: TypeTable;
}

function wrap(node: Node, { rank, fresh, infos, table }: Wrapping): Node[] {
  const last = [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
  const first = [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)];
  const [from = '', ...settings] = node.inputs;
  const [to = '', ...others] = node.outputs;
  const input = fresh(`${from}_last`);
  const output = fresh(`${to}_last`);
  infos.push(
    { name: input, type: permuted(table.typeOf(from), last) },
    { name: output, type: permuted(table.typeOf(to), last) },
  );
  return [
    makeNode('Transpose', [from], [input], { perm: last }, { name: '' }),
    {
      ...node,
      domain: CHANNELS_LAST,
      inputs: [input, ...settings],
      outputs: [output, ...others],
    },
    makeNode('Transpose', [output], [to], { perm: first }, { name: '' }),
  ];
}

/** Declares the types of values, since inference does not know the operators of the new domain. */
function remember(infos: ValueInfo[], name: string, table: TypeTable): void {
  const type = name === '' ? null : table.typeOf(name);
  if (type && type.dtype !== 'undefined') infos.push({ name, type });
}

function permuted(type: TensorType | null, perm: readonly number[]): TensorType | null {
  if (!type) return null;
  const { dtype, shape } = type;
  return { dtype, shape: shape && perm.map((axis): Dim => itemOf(shape, axis, 'the shape of an image')) };
}
