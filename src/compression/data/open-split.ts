/** Opens in one thread what a split in another has shared. */
import { openArraySplit } from './array-split.ts';
import type { Split } from './dataset.ts';
import type { SplitHandle } from './handles.ts';
import { openImageSplit } from './image-split.ts';
import { subset } from './splits.ts';

export function openSplit(handle: SplitHandle): Split {
  switch (handle.kind) {
    case 'arrays':
      return openArraySplit(handle);
    case 'images':
      return openImageSplit(handle);
    case 'subset':
      return subset(openSplit(handle.of), new Int32Array(handle.indices));
  }
}
