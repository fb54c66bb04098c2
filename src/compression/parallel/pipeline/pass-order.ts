/** What must be done before a pass can begin, whatever the schedule. */
import type { Pass, PassKind, Schedule, StageLinks } from './schedule.ts';

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

/** The passes of all parts in an order in which one process can run them. @throws Error where there is none */
export function inOneOrder(schedule: Schedule, stages: readonly StageLinks[]): readonly Pass[] {
  const order: Pass[] = [];
  const done = new Set<string>();
  const next = schedule.map(() => 0);
  const take = (part: number): boolean => {
    const pass = schedule[part]?.[next[part] ?? 0];
    if (!pass || !dependencies(pass, stages).every((key) => done.has(key))) return false;
    order.push(pass);
    done.add(keyOf(pass));
    next[part] = (next[part] ?? 0) + 1;
    return true;
  };
  while (schedule.some((_, part) => take(part)));
  const waiting = schedule.flatMap((passes, part) => passes[next[part] ?? 0] ?? []);
  if (waiting.length > 0) throw new Error(`The schedule stands still: ${waiting.map(keyOf).join(', ')} wait for ever`);
  return order;
}
