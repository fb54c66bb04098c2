import type { ChannelGroup } from '../../graph/channels/groups.ts';
import { removableChannels, type RemovableChannels } from '../../graph/channels/removable.ts';
import { composeKept, removeChannels } from '../../graph/channels/remove.ts';
import { fixShapeFactors } from '../../graph/channels/shape-factors.ts';
import { RemainingUnits } from '../../graph/channels/remaining-units.ts';
import { inlineFunctions } from '../../graph/passes/inline-functions.ts';
import { phaseOf } from '../../training/phase.ts';
import { recoverAccuracy } from '../../training/recover.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { ModelState } from '../../step/model-state.ts';
import type { StepContext } from '../../step/step-context.ts';
import { pruningRounds } from './plan.ts';
import { beginRound, resumeRound } from './rounds.ts';
import { hasScales, weightScores, type Scores } from '../channel-scores.ts';
import { selectChannels } from '../channel-selection.ts';
import type { PruneChannelsParameters } from './spec.ts';
import { taylorScores } from './taylor.ts';
import { elementAt } from '../../ir/checked-access.ts';

interface PruningContext {
  readonly parameters: PruneChannelsParameters;
  readonly context: StepContext;
  /** Prunable channels of each group at the beginning, by the group's first name. */
  readonly originally: ReadonlyMap<string, number>;
}

/** Removes channels in rounds and trains the remaining ones after each. */
export async function apply(
  before: ModelState,
  parameters: PruneChannelsParameters,
  context: StepContext,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  if (parameters.ratio === 0 && parameters.epochs === 0) return before;
  const start = { ...before, model: fixShapeFactors(inlineFunctions(before.model)) };
  const channels = chosenChannels(start, parameters);
  if (channels.groups.length === 0) {
    context.warn('nothing-to-prune', nothingToPrune(start, channels, parameters));
    return before;
  }
  const job = {
    parameters,
    context,
    originally: new Map(channels.groups.map((group) => [nameOf(group), group.units.length])),
  };
  return runRounds(start, job);
}

/** A group goes by the first of its names. */
const nameOf = ({ names }: ChannelGroup): string => elementAt(names, 0, 'name');
const listed = (groups: readonly ChannelGroup[]): string => groups.map((group) => `"${nameOf(group)}"`).join(', ');

async function runRounds(start: ModelState, pruning: PruningContext): Promise<ModelState> {
  const { parameters, context } = pruning;
  const rounds = pruningRounds(parameters);
  const allEpochs = rounds.reduce((sum, { epochs }) => sum + epochs, 0);
  const resumed = await resumeRound(context.checkpoints, start);
  let state = start;
  let epochsBefore = 0;
  for (const [round, { fraction, epochs }] of rounds.entries()) {
    if (!resumed || round >= resumed.round) {
      const running =
        resumed?.round === round
          ? resumed
          : { round, state: await pruneRound(state, pruning, fraction, round), training: null };
      state =
        epochs === 0
          ? running.state
          : await recoverAccuracy(
              running.state,
              parameters,
              phaseOf(context, await beginRound(context.checkpoints, running), { epochsBefore, epochs, allEpochs }),
              epochs,
            );
    }
    epochsBefore += epochs;
  }
  return state;
}

/**
 * The groups that the layer filter selects; a group that ties several layers is left out if one of them is excluded.
 */
function chosenChannels({ model }: ModelState, { layers }: PruneChannelsParameters): RemovableChannels {
  const { map, groups } = removableChannels(model);
  const matches = layerMatcher(layers);
  return { map, groups: groups.filter(({ names }) => matches(names)) };
}

async function pruneRound(
  state: ModelState,
  { parameters, context, originally }: PruningContext,
  fraction: number,
  round: number,
): Promise<ModelState> {
  context.signal.throwIfAborted();
  const channels = chosenChannels(state, parameters);
  if (round === 0) warnOfMissingScales(channels, parameters, context);
  const scores = await scoresOf(state, channels, parameters, context);
  const remaining = new RemainingUnits(channels.map);
  const groups = channels.groups.map((group, i) => ({
    group,
    scores: elementAt(scores, i, 'group'),
    original: originally.get(nameOf(group)) ?? group.units.length,
  }));
  selectChannels(groups, remaining, parameters, fraction);
  const { model, kept } = removeChannels(state.model, channels.map, remaining.gone);
  return { ...state, model, kept: composeKept(state.kept, kept) };
}

async function scoresOf(
  state: ModelState,
  channels: RemovableChannels,
  { score, training }: PruneChannelsParameters,
  context: StepContext,
): Promise<Scores[]> {
  if (score === 'taylor') return taylorScores(state, channels, context, training);
  return channels.groups.map((group) => weightScores(channels.map, group, score, context.seed));
}

function warnOfMissingScales(
  { map, groups }: RemovableChannels,
  { score }: PruneChannelsParameters,
  context: StepContext,
): void {
  const without = score === 'bn-scale' ? groups.filter((group) => !hasScales(map, group)) : [];
  if (without.length > 0)
    context.warn(
      'no-normalization',
      'No normalization with a scale follows these layers, so the norm of their weights scores them: ' +
        listed(without),
    );
}

function nothingToPrune(
  { model }: ModelState,
  { map }: RemovableChannels,
  { layers }: PruneChannelsParameters,
): string {
  const { groups } = removableChannels(model);
  if (groups.length > 0) return `No layer matches ${JSON.stringify(layers)}; there are ${listed(groups)}`;
  const causes = new Set([...map.made].flatMap((axis) => [...axis].flatMap((unit) => map.units.causeOf(unit) ?? [])));
  return causes.size === 0
    ? 'The model has no layers with removable channels'
    : `No channel can be removed: ${[...causes].join(', ')}`;
}
