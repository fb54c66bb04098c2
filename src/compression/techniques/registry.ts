/**
 * Every technique: its spec, and how to load its implementation when a step first runs. The API and the supervisor read
 * only specs and never load the engine.
 */
import type { TSchema } from 'typebox';
import { spec as analyze } from './analyze/spec.ts';
import { spec as cluster } from './cluster/spec.ts';
import { spec as distill } from './distill/spec.ts';
import { spec as factorize } from './factorize/spec.ts';
import { spec as pruneChannels } from './prune-channels/spec.ts';
import { spec as pruneWeights } from './prune-weights/spec.ts';
import { spec as quantize } from './quantize/spec.ts';
import { spec as retrain } from './retrain/spec.ts';
import type { Technique, TechniqueSpec } from './technique.ts';

const registered = new Map<string, Technique>();

/** By name, in the order of registration. */
export const TECHNIQUES: ReadonlyMap<string, Technique> = registered;

export const specOf = (name: string): TechniqueSpec | undefined => TECHNIQUES.get(name)?.spec;

/** @throws Error if the name is taken */
export function register<P extends TSchema>(
  spec: TechniqueSpec<P>,
  load: () => Promise<{ readonly apply: Technique<P>['apply'] }>,
): void {
  if (registered.has(spec.name)) throw new Error(`There is a technique "${spec.name}" already`);
  const technique: Technique<P> = {
    spec,
    apply: async (state, parameters, context) => (await load()).apply(state, parameters, context),
  };
  registered.set(spec.name, technique);
}

register(retrain, () => import('./retrain/apply.ts'));
register(pruneWeights, () => import('./prune-weights/apply.ts'));
register(pruneChannels, () => import('./prune-channels/apply.ts'));
register(distill, () => import('./distill/apply.ts'));
register(factorize, () => import('./factorize/apply.ts'));
register(cluster, () => import('./cluster/apply.ts'));
register(quantize, () => import('./quantize/apply.ts'));
register(analyze, () => import('./analyze/apply.ts'));
