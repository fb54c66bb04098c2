/** Finds the channels of a model that can be removed, and proves it by removing some. */
import { LatheError } from '../../../errors.ts';
import { nodeLabel } from '../../ir/graph-error.ts';
import type { Model } from '../../ir/types.ts';
import { coupleChannels, type ChannelMap } from './couple.ts';
import { channelGroups, type ChannelGroup } from './groups.ts';
import { ChannelMismatch, removeChannels } from './remove.ts';
import { RemainingUnits } from './remaining-units.ts';

export interface RemovableChannels {
  readonly map: ChannelMap;
  readonly groups: readonly ChannelGroup[];
}

/**
 * Couples the channels, then removes about half of each group on trial. Where shape inference finds another size than
 * the labels (a shape that the model computes in its own way), those channels are frozen and the trial is repeated.
 * Ends, since every round freezes some.
 * @throws LatheError `malformed-model` where the model's own shapes contradict each other
 */
export function removableChannels(model: Model): RemovableChannels {
  const map = coupleChannels(model);
  for (;;) {
    const groups = channelGroups(map);
    const remaining = new RemainingUnits(map);
    for (const { units } of groups)
      units.forEach((unit, i) => {
        if (i % 2 === 1) remaining.remove(unit);
      });
    const culprits = trial(model, map, remaining.gone);
    if (culprits.length === 0) return { map, groups };
    for (const axis of culprits) map.units.freezeAxis(axis);
  }
}

/** Labels of axes that cannot shrink. */
function trial(model: Model, map: ChannelMap, gone: ReadonlySet<number>): readonly Int32Array[] {
  try {
    removeChannels(model, map, gone);
    return [];
  } catch (error) {
    if (error instanceof ChannelMismatch) return [error.labels];
    const labels = error instanceof LatheError ? shrinkingAt(model, map, gone, error) : [];
    if (labels.length === 0) throw error;
    return labels;
  }
}

/** The shrinking axes of the node at which inference failed. */
function shrinkingAt(model: Model, map: ChannelMap, gone: ReadonlySet<number>, error: LatheError): Int32Array[] {
  const path = error.errors[0]?.path;
  const node = model.graph.nodes.find((candidate) => nodeLabel(candidate) === path);
  const axes = node
    ? [
        ...node.inputs.flatMap((_, i) => map.unitsOf(node, i)),
        ...node.outputs.flatMap((name) => map.values.get(name) ?? []),
      ]
    : [];
  return axes.filter(
    (axis): axis is Int32Array => axis !== null && axis.some((unit) => gone.has(map.units.find(unit))),
  );
}
