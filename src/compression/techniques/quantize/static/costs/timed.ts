/** Times the model's own layers on this machine, for processors without a table. */
import { writeOnnx } from '../../../../formats/onnx/write.ts';
import { entryOf, inputName } from '../../../../ir/checked-access.ts';
import { elementCount } from '../../../../ir/tensor-data.ts';
import type { Model, Node } from '../../../../ir/types.ts';
import { measureLatency } from '../../../../measure/latency.ts';
import { openRuntime, type Feeds, type Runtime } from '../../../../measure/session.ts';
import { biasOf, type PlannedNode, type StaticPlan } from '../plan.ts';
import type { Costs } from './costs.ts';
import { floatLayer, integerLayer, type SingleLayer } from './single-layer.ts';

const NS_PER_MS = 1e6;
/** Time limit for both models of a layer together. */
const BUDGET_MS = 60;
/** Conversions and integer poolings are not timed: takes their costs from the processors with a table. */
const [CONVERSION_NS, POOL_NS] = [0.7, 15];

/** `shapes`: of the plan's values, as observed. Times layers of equal shape once. */
export async function timedCosts(
  model: Model,
  plan: StaticPlan,
  shapes: ReadonlyMap<string, readonly number[]>,
  signal: AbortSignal,
): Promise<Costs> {
  const known = new Map<string, number>();
  const gains = new Map<Node, number>();
  for (const planned of plan.nodes.values()) {
    const layer = singleLayer(model, planned, shapes);
    if (!layer) continue;
    const key = JSON.stringify([layer.node.opType, layer.input, layer.weight, [...layer.node.attributes]]);
    const gain = known.get(key) ?? (await timeLayer(layer, signal));
    known.set(key, gain);
    gains.set(planned.node, gain);
  }
  return { gainNs: (node) => gains.get(node) ?? 0, conversionNs: CONVERSION_NS, poolNs: POOL_NS };
}

function singleLayer(
  { graph }: Model,
  { node, kernel }: PlannedNode,
  shapes: ReadonlyMap<string, readonly number[]>,
): SingleLayer | null {
  const input = shapes.get(inputName(node));
  if (kernel === null || !input) return null;
  return {
    node,
    input,
    weight: entryOf(graph.initializers, inputName(node, kernel), 'kernel').dims,
    bias: biasOf(node, graph)?.length ?? null,
  };
}

async function timeLayer(layer: SingleLayer, signal: AbortSignal): Promise<number> {
  const count = elementCount(layer.input);
  const [float = NaN, int8 = NaN] = await timeEach(
    [
      [
        writeOnnx(floatLayer(layer)),
        new Map([
          [
            'x',
            {
              dtype: 'float32',
              shape: layer.input,
              data: Float32Array.from({ length: count }, (_, i) => ((i * 31) % 251) / 50),
            },
          ],
        ]),
      ],
      [
        writeOnnx(integerLayer(layer)),
        new Map([
          [
            'x',
            { dtype: 'uint8', shape: layer.input, data: Uint8Array.from({ length: count }, (_, i) => (i * 31) % 251) },
          ],
        ]),
      ],
    ],
    signal,
  );
  return (float - int8) * NS_PER_MS;
}

/** Median milliseconds of each model, one run of each by turns. */
async function timeEach(models: readonly (readonly [Uint8Array, Feeds])[], signal: AbortSignal): Promise<number[]> {
  const runtimes: Runtime[] = [];
  try {
    for (const [bytes, feeds] of models) {
      const runtime = await openRuntime(bytes);
      runtimes.push({ ...runtime, prepare: () => runtime.prepare(feeds) });
    }
    return (await measureLatency(runtimes, new Map(), { batch: 1, threads: 1, signal, budgetMs: BUDGET_MS })).map(
      ({ median }) => median,
    );
  } finally {
    for (const runtime of runtimes) await runtime.release();
  }
}
