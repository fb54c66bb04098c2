/** Applies a worker's events, in order, to the stored steps of a job. */
import type { ReportWarning } from '../contracts/report.ts';
import type { StepState, StoredMetric, StoredStep } from './ports/api-side.ts';
import type { JobEvent } from './ports/events.ts';

export interface StepUpdates {
  readonly steps: readonly StoredStep[];
  /** Of the whole job, 0..1; `null`: unchanged. */
  readonly progress: number | null;
  readonly metrics: readonly StoredMetric[];
}

const WORKER_STATES: readonly StepState[] = ['running', 'succeeded', 'failed', 'skipped'];

export function applyEvents(steps: readonly StoredStep[], events: readonly JobEvent[], now: Date): StepUpdates {
  const after = steps.map((step) => ({ ...step }));
  let progress: number | null = null;
  const metrics = new Map<string, StoredMetric>();
  for (const { type, data } of events) {
    const step = typeof data.step === 'number' ? after[data.step] : undefined;
    switch (type) {
      case 'progress':
        progress = share(data.progress) ?? progress;
        if (step) step.progress = share(data.stepProgress) ?? step.progress;
        break;
      case 'step':
        if (step) enterState(step, data.state, now);
        break;
      case 'metric':
        for (const metric of step ? metricsOf(step.index, data) : [])
          metrics.set(`${metric.step} ${metric.epoch} ${metric.name}`, metric);
        if (step) step.metrics = { ...step.metrics, ...finite(data.metrics) };
        break;
      case 'warning':
        if (step)
          step.warnings = [
            ...step.warnings,
            { code: String(data.code), message: String(data.message), step: step.index } satisfies ReportWarning,
          ];
        break;
      default: // the other events are about the job, and come with a change of its state
    }
  }
  return { steps: after, progress, metrics: [...metrics.values()] };
}

/** A new attempt runs the step again and repeats its warnings, so the old ones are dropped. */
function enterState(step: { -readonly [K in keyof StoredStep]: StoredStep[K] }, reported: unknown, now: Date): void {
  const state = WORKER_STATES.find((candidate) => candidate === reported);
  if (!state) return;
  if (state === 'running') Object.assign(step, { progress: 0, warnings: [], startedAt: now, endedAt: null });
  else
    Object.assign(step, {
      endedAt: now,
      startedAt: step.startedAt ?? now,
      ...(state === 'succeeded' ? { progress: 1 } : {}),
    });
  step.state = state;
}

function metricsOf(step: number, { epoch, metrics }: JobEvent['data']): StoredMetric[] {
  if (typeof epoch !== 'number' || !Number.isInteger(epoch)) return [];
  return Object.entries(finite(metrics)).map(([name, value]) => ({ step, epoch, name, value }));
}

/** The finite metrics, which JSON can hold; in the event the others are null. */
function finite(metrics: unknown): Record<string, number> {
  if (typeof metrics !== 'object' || metrics === null) return {};
  return Object.fromEntries(
    Object.entries(metrics).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  );
}

function share(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? Math.min(1, Math.max(0, value)) : null;
}
