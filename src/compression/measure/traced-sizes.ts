/**
 * Sizes that a model was traced at: tracing exporters write the input sizes of their run into the model's reshapes.
 */
import { constantTensor } from '../ir/constants.ts';
import { indexGraph } from '../ir/edit.ts';
import { elementCount, hostNumbers, toHost } from '../ir/tensor-data.ts';
import type { Model, Tensor } from '../ir/types.ts';

/** Operators with a shape input -> its index. */
const SHAPED: ReadonlyMap<string, number> = new Map([
  ['Reshape', 1],
  ['Expand', 1],
  ['Tile', 1],
  ['ConstantOfShape', 0],
]);
const MAX_SIZE = 65_536;

/**
 * Whole numbers from 2 on that the shapes of the main graph are made of, in the order met; behind them their divisors,
 * since batch and heads are often one axis.
 */
export function tracedSizes(model: Model): number[] {
  const found = [...shapeConstants(model)].flatMap((tensor) => hostNumbers(toHost(tensor)));
  const sizes = new Set(found.filter((size) => size > 1 && size <= MAX_SIZE));
  const divisors = [...sizes].flatMap((size) => divisorsOf(size)).sort((a, b) => a - b);
  return [...new Set([...sizes, ...divisors])];
}

/** Small integer constants from which the shape inputs are computed. */
function shapeConstants({ graph }: Model): Set<Tensor> {
  const { producer } = indexGraph(graph);
  const constants = new Set<Tensor>();
  const seen = new Set<string>();
  const pending = graph.nodes.flatMap(({ opType, inputs }) => inputs[SHAPED.get(opType) ?? -1] ?? []);
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const maker = producer.get(name);
    const tensor = graph.initializers.get(name) ?? (maker ? constantTensor(maker) : null);
    if (tensor && (tensor.dtype === 'int64' || tensor.dtype === 'int32') && elementCount(tensor.dims) <= 8)
      constants.add(tensor);
    else if (maker && maker.opType !== 'Shape') pending.push(...maker.inputs);
  }
  return constants;
}

function divisorsOf(size: number): number[] {
  return Array.from({ length: Math.floor(Math.sqrt(size)) }, (_, i) => i + 1)
    .filter((divisor) => size % divisor === 0)
    .flatMap((divisor) => [divisor, size / divisor])
    .filter((divisor) => divisor > 1);
}
