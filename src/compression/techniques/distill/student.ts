/**
 * Derives a student from its teacher: fewer channels in every layer and fewer repeated blocks, with the kept parts'
 * weights.
 */
import { removableBlocks, withoutBlocks, type BlockSequence } from '../../graph/blocks.ts';
import { removableChannels } from '../../graph/channels/removable.ts';
import { composeKept, removeChannels } from '../../graph/channels/remove.ts';
import { fixShapeFactors } from '../../graph/channels/shape-factors.ts';
import { RemainingUnits } from '../../graph/channels/remaining-units.ts';
import { inlineFunctions } from '../../graph/passes/inline-functions.ts';
import { weightScores } from '../channel-scores.ts';
import { selectChannels } from '../channel-selection.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import type { DistillParameters } from './spec.ts';

type Size = NonNullable<DistillParameters['student']>;

/** Depth first: the remaining layers then lose their least important channels. */
export function deriveStudent(
  teacher: ModelState,
  { width, depth }: Size,
  context: Pick<StepContext, 'seed' | 'warn'>,
): ModelState {
  return narrower(shallower(teacher, depth, context), width, context);
}

function shallower(state: ModelState, depth: number, { warn }: Pick<StepContext, 'warn'>): ModelState {
  if (depth === 1) return state;
  const found = removableBlocks(state.model);
  const gone = found.sequences.flatMap((sequence) => leftOut(sequence, depth));
  if (gone.length > 0) return { ...state, model: withoutBlocks(found, gone) };
  warn(
    'depth-kept',
    found.sequences.length === 0
      ? 'No block of the teacher keeps the shape of its input, so none can be removed: the student is as deep'
      : `Depth ${depth} keeps all of the teacher's ` +
          `${found.sequences.map((sequence) => sequence.length).join(' + ')} blocks; choose a lower one`,
  );
  return state;
}

/**
 * The blocks to leave out: the kept ones are evenly spaced in the sequence; if there are none, only the layers around
 * it remain.
 */
function leftOut(sequence: BlockSequence, depth: number): BlockSequence {
  const kept = Math.round(sequence.length * depth);
  const places = new Set(Array.from({ length: kept }, (_, i) => Math.floor(((i + 0.5) * sequence.length) / kept)));
  return sequence.filter((_, i) => !places.has(i));
}

/** Removes the same share of every group, by the norm of the weights. */
function narrower(before: ModelState, width: number, { seed, warn }: Pick<StepContext, 'seed' | 'warn'>): ModelState {
  if (width === 1) return before;
  const state = { ...before, model: fixShapeFactors(inlineFunctions(before.model)) };
  const { map, groups } = removableChannels(state.model);
  if (groups.length === 0) {
    warn('width-kept', 'The teacher has no layers with removable channels: the student is as wide');
    return before;
  }
  const remaining = new RemainingUnits(map);
  const scored = groups.map((group) => ({
    group,
    scores: weightScores(map, group, 'l2', seed),
    original: group.units.length,
  }));
  selectChannels(scored, remaining, { ratio: 1 - width, scope: 'layer', roundTo: 1, maxRatio: 1 }, 1);
  const { model, kept } = removeChannels(state.model, map, remaining.gone);
  return { ...state, model, kept: composeKept(state.kept, kept) };
}
