/** Losses and metrics of a network over one pass of data, without training it. */
import type { BatchSource } from '../data/dataset.ts';
import type { Network } from '../network/network.ts';
import { compileStep, type CompiledStep } from '../tensor/compile.ts';
import { tf, type TfTensor } from '../tensor/tf.ts';
import { nextTurn } from './event-loop.ts';
import { batchTensors, feedsOf } from './feeds.ts';
import { readScalars, termView, weightedSum } from './step.ts';
import { lossVariables, type LossTerm, type Metric } from './term.ts';
import { elementAt } from '../ir/element-at.ts';

export interface Evaluator {
  /** Means over the samples: `loss` (the weighted sum of the terms) and every metric by name. */
  run(source: BatchSource, signal: AbortSignal): Promise<Record<string, number>>;
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
    run: async (source, signal) => {
      const sums = new Float64Array(metrics.length + 1);
      for await (const batch of source.epoch(0)) {
        signal.throwIfAborted();
        const inputs = batchTensors(network, batch);
        compiled ??= compileStep({ inputs, variables, step, earlierRuns });
        const results = compiled.run(inputs);
        readScalars(results).forEach((value, i) => (sums[i] = (sums[i] ?? 0) + value * (i === 0 ? batch.size : 1)));
        tf.dispose([...results, ...inputs]);
        await nextTurn();
      }
      const names = ['loss', ...metrics.map(({ name }) => name)];
      return Object.fromEntries(names.map((name, i) => [name, elementAt(sums, i, 'sum') / source.samples]));
    },
    dispose: () => compiled?.dispose(),
  };
}
