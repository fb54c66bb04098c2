import type { Static } from 'typebox';
import { LatheError } from '../../../errors.ts';
import { setUpTraining } from '../../training/training-setup.ts';
import { frozenMasks, withNetwork } from '../../training/session.ts';
import { train } from '../../training/train.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import type { spec } from './spec.ts';

/** Trains on the dataset's labels; keeps the starting weights if no epoch does better on the validation split. */
export async function apply(
  state: ModelState,
  { epochs, training }: Static<typeof spec.parameters>,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  if (epochs === 0) return state;
  return withNetwork(state, context, async (network) => {
    const masks = frozenMasks(network, state);
    try {
      const { common, labels, metrics } = await setUpTraining(network, context, training);
      if (!labels)
        throw new LatheError(
          'dataset-required',
          'retrain needs labels and the dataset has none; distill works without them',
        );
      const { unchanged } = await train({
        ...common,
        terms: [labels],
        metrics,
        epochs,
        constraints: masks ? [masks] : [],
      });
      if (unchanged)
        context.warn(
          'no-improvement',
          'No epoch improved on the starting weights in the validation split; the starting weights are kept',
        );
    } finally {
      masks?.dispose();
    }
  });
}
