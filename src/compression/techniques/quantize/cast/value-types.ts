/**
 * Element types of a graph's values as onnxruntime infers them, for every operator that it can run, other domains
 * included.
 */
import { writeOnnx } from '../../../formats/onnx/write.ts';
import type { Model } from '../../../ir/types.ts';
import { openRuntime } from '../../../measure/session.ts';

/** By name, for the tensors of the main graph. */
export async function valueTypes(model: Model): Promise<Map<string, string>> {
  const { graph } = model;
  const present = new Set([...graph.outputs, ...graph.inputs].map(({ name }) => name));
  const computed = [...new Set(graph.nodes.flatMap(({ outputs }) => outputs))].filter(
    (name) => name !== '' && !present.has(name),
  );
  const exposed = { ...graph, outputs: [...graph.outputs, ...computed.map((name) => ({ name, type: null }))] };
  const runtime = await openRuntime(writeOnnx({ ...model, graph: exposed }), { optimization: 'disabled' });
  await runtime.release();
  const types = new Map([...graph.initializers].map(([name, { dtype }]): [string, string] => [name, dtype]));
  for (const { name, dtype } of [...runtime.inputs, ...runtime.outputs]) if (dtype !== 'none') types.set(name, dtype);
  return types;
}
