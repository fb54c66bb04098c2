/**
 * Sizes to try for open dimensions of a model's inputs, and kinds of values for integer inputs whose meaning the graph
 * does not show.
 */
import type { RuntimeInput } from './session.ts';

/** Sides of images, lengths of sequences. */
const DEFAULT_SIDE = 224;
const IMAGE_SIDES = [DEFAULT_SIDE, 64, 320, 32, 512, 48, 96, 640];
const LENGTHS = [16, 64, 128, 512, 1, 256, 32, 4, 576, 1024, 1536, 4096, 16000];
/** Of sizes that the model was traced at: so many as batch or length, and pairs of both. */
const MAX_TRACED = 24;

/**
 * What whole numbers are: random within the bounds of the tables they index (else 0 or 1), or all the same, which is an
 * index everywhere, or a length.
 */
export type WholeNumbers = 'random' | 'zeros' | 'ones';

/**
 * What stands for an open dimension: `state` for those of three axes and more that are no images (a state's batch, or
 * its length).
 */
export interface OpenSizes {
  readonly batch: number;
  readonly side: number;
  readonly length: number;
  readonly state: 'batch' | 'length';
  readonly whole: WholeNumbers;
}

/** Sizes to try in this order, the usual ones first. */
export function* sizesToTry(
  inputs: readonly RuntimeInput[],
  fixed: number | null,
  traced: () => readonly number[],
): Generator<OpenSizes> {
  const wholes: WholeNumbers[] = inputs.some(({ dtype }) => /int/.test(dtype))
    ? ['random', 'zeros', 'ones']
    : ['random'];
  const batches = fixed === null ? [1, 2] : [fixed];
  for (const whole of wholes) for (const batch of batches) yield* usualSizes(inputs, batch, whole);
  if (!inputs.some(({ shape }) => shape.includes(null))) return;
  const known = traced().slice(0, MAX_TRACED);
  const lengths = hasOpen(inputs, (rank) => rank !== 4) ? [...known, ...LENGTHS] : LENGTHS.slice(0, 1);
  for (const whole of wholes.slice(0, 2)) {
    for (const batch of fixed === null ? [1, 2, ...known] : [fixed])
      for (const length of lengths) yield { batch, length, side: DEFAULT_SIDE, state: 'length', whole };
  }
}

/** Combinations that differ for these inputs. */
function* usualSizes(inputs: readonly RuntimeInput[], batch: number, whole: WholeNumbers): Generator<OpenSizes> {
  const sides = hasOpen(inputs, (rank) => rank === 4) ? IMAGE_SIDES : IMAGE_SIDES.slice(0, 1);
  const lengths = hasOpen(inputs, (rank) => rank !== 4) ? LENGTHS : LENGTHS.slice(0, 1);
  const states: OpenSizes['state'][] = hasOpen(inputs, (rank) => rank === 3 || rank > 4)
    ? ['length', 'batch']
    : ['length'];
  for (const length of lengths)
    for (const state of states) for (const side of sides) yield { batch, side, length, state, whole };
}

/** Whether inputs of some rank leave an axis open behind the first. */
function hasOpen(inputs: readonly RuntimeInput[], ofRank: (rank: number) => boolean): boolean {
  return inputs.some(({ shape }) => ofRank(shape.length) && shape.slice(1).includes(null));
}

/** @param isBatch the axis has the symbol of another input's first axis; equal symbols have equal sizes */
export function openSize({ shape }: RuntimeInput, axis: number, isBatch: boolean, sizes: OpenSizes): number {
  const { batch } = sizes;
  if (axis === 0 || isBatch) return batch;
  if (shape.length === 4) return axis === 1 && shape[2] === null && shape[3] === null ? 3 : sizes.side;
  return shape.length > 2 && sizes.state === 'batch' ? batch : sizes.length;
}
