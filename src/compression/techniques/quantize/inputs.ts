/** Inputs for observing a model: training samples (never those of the test split) or random ones. */
import { writeOnnx } from '../../formats/onnx/write.ts';
import type { Model } from '../../ir/types.ts';
import { sampleOf, workingFeeds } from '../../measure/inputs.ts';
import { randomInputs } from '../../measure/random-inputs.ts';
import { openRuntime, type Feeds } from '../../measure/session.ts';
import type { StepContext } from '../../step/step-context.ts';
import type { Passes } from './static/observe.ts';

/** Random samples say little: a few are enough. */
const RANDOM_SAMPLES = 16;

/** `random`: there is no dataset. Errors: `shape-mismatch` if the model ran on no random input. */
export async function observationInputs(
  model: Model,
  samples: number,
  context: StepContext,
): Promise<Passes & { readonly random: boolean }> {
  const runtime = await openRuntime(writeOnnx(model));
  try {
    const split = context.dataset?.split('train');
    if (!split || split.length === 0) {
      const inputs = await randomInputs(model, runtime, context.seed);
      const count = Math.min(samples, RANDOM_SAMPLES);
      return {
        random: true,
        samples: count,
        feeds: async function* () {
          for (let i = 0; i < count; i++) yield inputs.make(i, inputs.minSamples);
        },
      };
    }
    const chosen = sampleOf(split, samples, context.seed);
    const batches = await workingFeeds(runtime, chosen, context.transform);
    return {
      random: false,
      samples: chosen.length,
      async *feeds(batch): AsyncGenerator<Feeds> {
        for await (const { inputs } of batches(batch)) yield inputs;
      },
    };
  } finally {
    await runtime.release();
  }
}
