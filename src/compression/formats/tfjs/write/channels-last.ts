/**
 * The model with its image operators in channels-last form, the only one TF.js's kernels take. Such nodes go into a
 * domain of their own: data [n, ...spatial, c], weights and attributes as in ONNX. Transposes stand round each at
 * first; `sinkTransposes` takes out what cancels.
 */
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
    const type = node.domain === '' && SPATIAL.has(node.opType) ? table.typeOf(node.inputs[0]!) : null;
    const rank = type?.shape?.length ?? 0;
    return rank < 3 ? [node] : wrap(node, rank, fresh, infos, table);
  });
  const outputs = new Set(model.graph.outputs.map(({ name }) => name));
  const opsets = new Map(model.opsets).set(CHANNELS_LAST, 1);
  return sinkTransposes({
    ...model,
    opsets,
    graph: { ...model.graph, nodes, valueInfos: infos.filter(({ name }) => !outputs.has(name)) },
  });
}

function wrap(node: Node, rank: number, fresh: (base: string) => string, infos: ValueInfo[], table: TypeTable): Node[] {
  const last = [0, ...Array.from({ length: rank - 2 }, (_, i) => i + 2), 1];
  const first = [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)];
  const input = fresh(`${node.inputs[0]!}_last`);
  const output = fresh(`${node.outputs[0]!}_last`);
  infos.push(
    { name: input, type: permuted(table.typeOf(node.inputs[0]!), last) },
    { name: output, type: permuted(table.typeOf(node.outputs[0]!), last) },
  );
  return [
    makeNode('Transpose', [node.inputs[0]!], [input], { perm: last }, { name: '' }),
    {
      ...node,
      domain: CHANNELS_LAST,
      inputs: [input, ...node.inputs.slice(1)],
      outputs: [output, ...node.outputs.slice(1)],
    },
    makeNode('Transpose', [output], [node.outputs[0]!], { perm: first }, { name: '' }),
  ];
}

/** Types behind the nodes of the new domain are declared, since inference knows nothing of it. */
function remember(infos: ValueInfo[], name: string, table: TypeTable): void {
  const type = name === '' ? null : table.typeOf(name);
  if (type && type.dtype !== 'undefined') infos.push({ name, type });
}

function permuted(type: TensorType | null, perm: readonly number[]): TensorType | null {
  return type && { dtype: type.dtype, shape: type.shape && perm.map((axis): Dim => type.shape![axis]!) };
}
