/** A step trained by a server and workers in one process, over streams as between processes. */
import { duplexPair, type Duplex } from 'node:stream';
import { Value } from 'typebox/value';
import { AsyncServer, AsyncWorker, type AsyncSettings } from '../../src/compression/collective/async-place.ts';
import { connectionOver } from '../../src/compression/collective/connection.ts';
import type { Dataset } from '../../src/compression/data/dataset.ts';
import type { Model } from '../../src/compression/ir/types.ts';
import type { ModelState } from '../../src/compression/step/model-state.ts';
import type { StepContext } from '../../src/compression/step/step-context.ts';
import { TECHNIQUES } from '../../src/compression/techniques/registry.ts';
import { contextFor, initialState, type TestContext } from './steps.ts';

export interface Asynchronously {
  readonly model: Model;
  readonly dataset: Dataset;
  readonly technique: string;
  readonly parameters: Record<string, unknown>;
  readonly workers: number;
  readonly settings?: Partial<AsyncSettings>;
  readonly context?: Partial<StepContext>;
  /** Is given the streams of the workers, to cut them. */
  readonly onStreams?: (cut: readonly (() => void)[]) => void;
}

export const ASYNC_DEFAULTS: AsyncSettings = { staleness: {}, localSteps: 1, topK: 1 };

export async function trainAsynchronously(options: Asynchronously) {
  const settings = { ...ASYNC_DEFAULTS, ...options.settings };
  const server = new AsyncServer(settings);
  const pairs = Array.from({ length: options.workers }, () => duplexPair());
  pairs.forEach(([stream], i) => server.accept(connectionOver(stream, `worker ${i}`)));
  const losses = pairs.map(([ours]) => lossOf(ours));
  options.onStreams?.(losses.map(({ cut }) => cut));
  const workers = pairs.map(([, stream], i) => {
    const asynchronous = new AsyncWorker(connectionOver(stream, 'server'), settings);
    return Promise.race([losses[i]!.lost, applied({ ...options, context: { ...options.context, asynchronous } })]);
  });
  const ends = Promise.allSettled(workers);
  const served = await applied({ ...options, context: { ...options.context, asynchronous: server } });
  return { ...served, server, workers: await ends };
}

/** Cuts a worker off, as when its process is killed: it then counts as failed. */
function lossOf(stream: Duplex): { readonly cut: () => void; readonly lost: Promise<never> } {
  let fail: (error: Error) => void = () => undefined;
  const lost = new Promise<never>((_, reject) => (fail = reject));
  const cut = () => {
    stream.destroy();
    fail(new Error('the worker was cut off'));
  };
  return { cut, lost };
}

/** The step as one process applies it. */
export async function applied({
  model,
  dataset,
  technique: name,
  parameters,
  context: more,
}: Omit<Asynchronously, 'workers'>): Promise<{ state: ModelState; context: TestContext }> {
  const technique = TECHNIQUES.get(name)!;
  const context = contextFor(model, dataset, more);
  const complete = Value.Default(technique.spec.parameters, { ...parameters }) as Record<string, unknown>;
  return { state: await technique.apply(initialState(model), complete, context), context };
}
