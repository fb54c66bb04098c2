/** Detects diverging training early. */
import { LatheError } from '../../errors.ts';

/** Weight of the past in the running mean of the loss. */
const MEMORY = 0.9;
/** The loss has diverged when its running mean exceeds the first losses (at least 1) by this factor. */
const FACTOR = 100;
const FIRST_STEPS = 5;

export interface TrainingPosition {
  readonly epoch: number;
  readonly step: number;
}

/** Returns a guard to call with every training step's loss. */
export function divergenceGuard(): (loss: number, position: TrainingPosition) => void {
  let seen = 0;
  let mean = 0;
  let reference = 1;
  return (loss, position) => {
    if (!Number.isFinite(loss)) throw diverged(`the loss became ${loss}`, position);
    mean = seen === 0 ? loss : MEMORY * mean + (1 - MEMORY) * loss;
    seen++;
    if (seen <= FIRST_STEPS && loss < 1e6) reference = Math.max(reference, Math.abs(loss));
    else if (mean > FACTOR * reference)
      throw diverged(`the loss rose to ${mean.toPrecision(3)}, from ${reference.toPrecision(3)} or less`, position);
  };
}

export function diverged(what: string, { epoch, step }: TrainingPosition): LatheError {
  return new LatheError(
    'diverged',
    `Training diverged in epoch ${epoch + 1}, step ${step}: ${what}. Try a lower learning rate or clipNorm`,
  );
}
