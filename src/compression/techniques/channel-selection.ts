/** Chooses the channels to prune. */
import type { ChannelGroup } from '../graph/channels/groups.ts';
import type { RemainingUnits } from '../graph/channels/remaining-units.ts';
import type { Scores } from './channel-scores.ts';
import { elementAt, entryOf } from '../ir/checked-access.ts';

/** A group with its original size: earlier rounds may have pruned it. */
export interface ScoredGroup {
  readonly group: ChannelGroup;
  readonly scores: Scores;
  /** Prunable channels when the step began. */
  readonly original: number;
}

export interface Selection {
  /** Share of the channels to prune, 0 to 1. */
  readonly ratio: number;
  readonly scope: 'layer' | 'global';
  /** Layers keep a multiple of this many channels. */
  readonly roundTo: number;
  /** Scope global: no layer loses a greater share. */
  readonly maxRatio: number;
}

/**
 * Marks units as pruned in `survival`, the least important first (on ties, the first), until `fraction` of the way to
 * the ratio is reached.
 */
export function selectChannels(
  groups: readonly ScoredGroup[],
  remaining: RemainingUnits,
  { ratio, scope, roundTo, maxRatio }: Selection,
  fraction: number,
): void {
  const target = ratio * fraction;
  const quotas =
    scope === 'layer'
      ? groups.map(({ original }) => original - Math.floor(original * target + 1e-9))
      : globalQuotas(groups, target, maxRatio);
  groups.forEach(({ group, scores }, i) => {
    const keep = Math.max(1 - group.fixed, rounded(elementAt(quotas, i, 'quota'), roundTo, group));
    const scoreOf = (unit: number): number => entryOf(scores, unit, 'score of unit');
    const order = [...group.units].sort((a, b) => scoreOf(a) - scoreOf(b) || a - b);
    let left = order.length;
    for (const unit of order) if (left > keep && remaining.remove(unit)) left--;
  });
}

/** Rounds up to the next multiple, counting the channels that have to stay. */
function rounded(keep: number, roundTo: number, { units, fixed }: ChannelGroup): number {
  return Math.min(units.length, Math.ceil((keep + fixed) / roundTo) * roundTo - fixed);
}

/**
 * How many units each group keeps when the globally least important are pruned. Scores are means over layers and so
 * comparable between groups.
 */
function globalQuotas(groups: readonly ScoredGroup[], target: number, maxRatio: number): number[] {
  const quotas = groups.map(({ group, original }) => ({
    keep: group.units.length,
    min: original - Math.floor(original * maxRatio + 1e-9),
  }));
  const all = groups
    .flatMap(({ group, scores }, i) => {
      const quota = elementAt(quotas, i, 'quota');
      const own = group.units.map((unit) => ({ quota, unit, score: entryOf(scores, unit, 'score of unit') }));
      const mean = own.reduce((sum, { score }) => sum + score, 0) / own.length || 1;
      return own.map((one) => ({ ...one, score: one.score / mean }));
    })
    .sort((a, b) => a.score - b.score || a.unit - b.unit);
  const originally = groups.reduce((sum, { original }) => sum + original, 0);
  let excess = all.length - (originally - Math.floor(originally * target + 1e-9));
  for (const { quota } of all) {
    if (excess <= 0) break;
    if (quota.keep <= quota.min) continue;
    quota.keep--;
    excess--;
  }
  return quotas.map(({ keep }) => keep);
}
