/** What must be done before a pass can begin, whatever the schedule. */
import type { Pass, PassKind, StageLinks } from './schedule.ts';

/** Names a pass among those of one batch. */
export function keyOf({ kind, stage, microBatch }: Pass): string {
  return `${kind} ${stage} ${microBatch}`;
}

/** Keys of the passes that a pass waits for: values of earlier stages, gradients of later ones, its own forward. */
export function dependencies(
  { kind, stage, microBatch }: Pass,
  stages: readonly Pick<StageLinks, 'receives'>[],
): string[] {
  const key = (of: PassKind, from: number): string => keyOf({ kind: of, stage: from, microBatch });
  if (kind === 'forward') return (stages[stage]?.receives ?? []).map((from) => key('forward', from));
  if (kind === 'weights') return [key('backward', stage)];
  const readers = stages.flatMap(({ receives }, reader) => (receives.includes(stage) ? [reader] : []));
  return [key('forward', stage), ...readers.map((reader) => key('backward', reader))];
}
