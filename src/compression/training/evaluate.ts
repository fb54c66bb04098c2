/** Losses and metrics of a network over one pass of data, without training it. */
import type { BatchSource } from '../data/dataset.ts';
import type { Network } from '../network/network.ts';
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { nextTurn } from './event-loop.ts';
import { batchTensors, feedsOf } from './feeds.ts';
import { readScalars, termView, weightedSum } from './step.ts';
import { lossVariables, type LossTerm, type Metric } from './term.ts';
import { elementAt } from '../ir/checked-access.ts';

export type Total = (figures: Float64Array) => Promise<Float64Array>;

export interface Evaluator {
  /**
   * Means over the samples: `loss` (the weighted sum of the terms) and every metric by name.
   * @param total sums figures over all replicas, where each has a share of the data
   */
  run(source: BatchSource, signal: AbortSignal, total: Total): Promise<Record<string, number>>;
  dispose(): void;
}

/**
 * @param earlierRuns how many times an ended process evaluated the same data; called at the first batch of each size
 */
export function evaluator(
  network: Network,
  terms: readonly LossTerm[],
  metrics: readonly Metric[],
  earlierRuns: () => number,
): Evaluator {
  let compiled: CompiledStep | null = null;
  const fetch = [...terms, ...metrics].flatMap((item) => item.fetch);
  const variables = lossVariables(network, terms);
  const step = (inputs: TfTensor[]): TfTensor[] => {
    const { feeds, rows, target } = feedsOf(network, inputs);
    const { outputs } = network.run(feeds, { training: false, fetch });
    const loss = weightedSum(
      terms,
      terms.map((term) =>
        term.loss(termView({ outputs, rows, target, prepared: term.prepare?.({ feeds, rows }) ?? [] })),
      ),
    );
    return [loss, ...metrics.map((metric) => metric.evaluate(termView({ outputs, rows, target, prepared: [] })))];
  };
  return {
    run: async (source, signal, total) => {
      const sums = new Float64Array(metrics.length + 2);
      for await (const batch of source.epoch(0)) {
        signal.throwIfAborted();
        if (batch.size === 0) continue;
        const inputs = batchTensors(network, batch);
        compiled ??= compileStep({ inputs, variables, step, earlierRuns });
        const results = compiled.run(inputs);
        readScalars(results).forEach((value, i) => (sums[i]! += value * (i === 0 ? batch.size : 1)));
        sums[metrics.length + 1]! += batch.size;
        tf.dispose([...results, ...inputs]);
        await nextTurn();
      }
      const totals = await total(sums);
      const samples = elementAt(totals, metrics.length + 1, 'number of samples');
      const names = ['loss', ...metrics.map(({ name }) => name)];
      return Object.fromEntries(names.map((name, i) => [name, elementAt(totals, i, 'sum') / samples]));
    },
    dispose: () => compiled?.dispose(),
  };
}
