/** Finds the node at which the engine and onnxruntime begin to differ. */
import type { UntrainableNode } from '../../contracts/model.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { topologicalOrder } from '../ir/edit.ts';
import { nodeLabel } from '../ir/graph-error.ts';
import { inferShapes, type TypeTable } from '../graph/infer.ts';
import { isFloat } from '../ir/tensor-data.ts';
import type { Model, Node, ValueInfo } from '../ir/types.ts';
import { openRuntime, type Feeds } from '../measure/session.ts';
import { firstDifference, rounding, runBoth, type Difference } from './differences.ts';
import type { Network } from '../network/network.ts';

/** The node whose output differs first, found by comparing every intermediate value. */
export async function blame(
  model: Model,
  network: Network,
  feeds: Feeds,
  differing: Difference,
): Promise<UntrainableNode> {
  const producers = new Map(
    topologicalOrder(model.graph).flatMap((node) => node.outputs.map((output): [string, Node] => [output, node])),
  );
  const first = (await firstInside(model, network, feeds, producers).catch(() => null)) ?? differing;
  const node = producers.get(first.value);
  return {
    node: node ? nodeLabel(node) : `output "${first.value}"`,
    operator: node?.opType ?? '',
    reason: first.reason,
  };
}

async function firstInside(
  model: Model,
  network: Network,
  feeds: Feeds,
  producers: ReadonlyMap<string, Node>,
): Promise<Difference | null> {
  const types = inferShapes(model);
  const names = [...producers.keys()].filter((name) => name !== '' && isFloatTensor(types, name));
  const exposed = exposing(model, names, types);
  const options = { threads: 2, optimization: 'disabled' } as const;
  const runtime = await openRuntime(writeOnnx(exposed), options);
  try {
    return firstDifference(
      await runBoth(network, runtime, feeds, names),
      names,
      await rounding({ model: exposed, feeds }, network, names, options),
    );
  } finally {
    await runtime.release();
  }
}

function isFloatTensor(types: TypeTable, name: string): boolean {
  const type = types.typeOf(name);
  return type !== null && isFloat(type.dtype);
}

/** The model with these values as outputs. */
export function exposing(model: Model, names: readonly string[], types: TypeTable): Model {
  const known = new Set(model.graph.outputs.map(({ name }) => name));
  const more = names
    .filter((name) => !known.has(name))
    .map((name): ValueInfo => ({ name, type: { dtype: types.typeOf(name)?.dtype ?? 'undefined', shape: null } }));
  return { ...model, graph: { ...model.graph, outputs: [...model.graph.outputs, ...more] } };
}
