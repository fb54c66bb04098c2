/** Every technique with its engine half, by name. */
import { apply as analyze } from './analyze/apply.ts';
import { apply as cluster } from './cluster/apply.ts';
import { apply as distill } from './distill/apply.ts';
import { apply as factorize } from './factorize/apply.ts';
import { apply as pruneChannels } from './prune-channels/apply.ts';
import { apply as pruneWeights } from './prune-weights/apply.ts';
import { apply as quantize } from './quantize/apply.ts';
import { apply as retrain } from './retrain/apply.ts';
import { SPECS } from './specs.ts';
import type { ModelState } from '../step/model-state.ts';
import type { StepContext } from '../step/step-context.ts';
import type { Technique } from './technique.ts';

type Apply = (state: ModelState, parameters: never, context: StepContext) => Promise<ModelState>;

const APPLY: Readonly<Record<string, Apply>> = {
  retrain,
  'prune-weights': pruneWeights,
  'prune-channels': pruneChannels,
  distill,
  factorize,
  cluster,
  quantize,
  analyze,
};

/** A spec without its engine half, or the other way round, stops the process at its start. */
export const TECHNIQUES: ReadonlyMap<string, Technique> = new Map(
  [...new Set([...SPECS.keys(), ...Object.keys(APPLY)])].map((name): [string, Technique] => {
    const spec = SPECS.get(name);
    const apply = APPLY[name];
    if (!spec || !apply) throw new Error(`technique "${name}" has ${spec ? 'a spec only' : 'no spec'}`);
    return [name, { spec, apply: apply as Technique['apply'] }];
  }),
);
