/** Learning rate by step. */
import type { Training } from '../../contracts/job-request.ts';

export interface ScheduleSettings {
  readonly learningRate: number;
  readonly schedule: Training['schedule'];
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** How many times the schedule repeats within the `epochs`, for pruning in rounds. */
  readonly cycles?: number;
}

export type LearningRate = (step: number) => number;

/** Warm-up without a given schedule: this share of the training, at most this many steps. */
const WARMUP_SHARE = 0.05;
const MAX_WARMUP_STEPS = 200;

/**
 * Without a schedule: a short linear warm-up, then half a cosine down to zero (Loshchilov & Hutter 2016, arXiv
 * 1608.03983, without restarts): fine-tuning neither starts with a jolt nor ends in noise, at whatever rate is set.
 * `step`: rate * factor^floor(epoch / stepEpochs), factor 0.1, every epoch.
 */
export function learningRateSchedule({
  learningRate,
  schedule,
  stepsPerEpoch,
  epochs,
  cycles = 1,
}: ScheduleSettings): LearningRate {
  const total = Math.max(1, Math.ceil((stepsPerEpoch * epochs) / cycles));
  const warmup = schedule ? (schedule.warmupSteps ?? 0) : Math.min(MAX_WARMUP_STEPS, Math.round(total * WARMUP_SHARE));
  const decay = decayOf(schedule ?? { kind: 'cosine' }, stepsPerEpoch, total, warmup);
  const rate: LearningRate = (step) => learningRate * (step < warmup ? (step + 1) / (warmup + 1) : decay(step));
  return (step) => rate(step % total);
}

function decayOf(
  schedule: NonNullable<Training['schedule']>,
  stepsPerEpoch: number,
  total: number,
  warmup: number,
): LearningRate {
  switch (schedule.kind) {
    case 'constant':
      return () => 1;
    case 'step': {
      const { factor = 0.1, stepEpochs = 1 } = schedule;
      return (step) => factor ** Math.floor(step / (stepsPerEpoch * stepEpochs));
    }
    case 'cosine':
      return (step) => (1 + Math.cos(Math.PI * Math.min(1, (step - warmup) / Math.max(1, total - warmup)))) / 2;
  }
}
