/** The spec of every technique, by name, without loading the engine: for validation, OpenAPI and /v1/techniques. */
import { spec as analyze } from './analyze/spec.ts';
import { spec as cluster } from './cluster/spec.ts';
import { spec as distill } from './distill/spec.ts';
import { spec as factorize } from './factorize/spec.ts';
import { spec as pruneChannels } from './prune-channels/spec.ts';
import { spec as pruneWeights } from './prune-weights/spec.ts';
import { spec as quantize } from './quantize/spec.ts';
import { spec as retrain } from './retrain/spec.ts';
import type { TechniqueSpec } from './technique.ts';

export const SPECS: ReadonlyMap<string, TechniqueSpec> = new Map<string, TechniqueSpec>(
  [retrain, pruneWeights, pruneChannels, distill, factorize, cluster, quantize, analyze].map(
    (spec): [string, TechniqueSpec] => [spec.name, spec as TechniqueSpec],
  ),
);
