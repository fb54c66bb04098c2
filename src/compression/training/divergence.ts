/** Notices early that training has gone astray. */
import { LatheError } from '../../errors.ts';

/** Weight of the past in the running mean of the loss. */
const MEMORY = 0.9;
/** A running mean this many times the first losses (or 1, where they were smaller) is no noise. */
const FACTOR = 100;
const FIRST_STEPS = 5;

export interface TrainingPosition {
  readonly epoch: number;
  readonly step: number;
}

/** A guard to be asked with every step's loss. */
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
