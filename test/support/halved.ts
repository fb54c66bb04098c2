/** Every second channel of each group that can be removed, removed. */
import { removableChannels } from '../../src/compression/graph/channels/removable.ts';
import { removeChannels, type RemovedChannels } from '../../src/compression/graph/channels/remove.ts';
import { RemainingUnits } from '../../src/compression/graph/channels/remaining-units.ts';
import type { Model } from '../../src/compression/ir/types.ts';

export function halved(model: Model): RemovedChannels {
  const { map, groups } = removableChannels(model);
  const remaining = new RemainingUnits(map);
  for (const { units } of groups)
    units.forEach((unit, i) => {
      if (i % 2 === 0) remaining.remove(unit);
    });
  return removeChannels(model, map, remaining.gone);
}
