/** What cutting a network brings: utilisation, memory of each part, bytes that cross, and whether it pays. */
import { elementAt } from '../../ir/checked-access.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { NetworkParts } from '../../network/network-parts.ts';
import type { CutPlan, StageParts } from '../../network/stages/cut-plan.ts';
import { cutIntoStages } from '../../network/stages/cut.ts';
import { planBranches } from './branch-plan.ts';
import { planChain } from './chain-plan.ts';
import type { NetworkCosts } from './costs.ts';
import { listSchedule, type PassCosts } from './list-schedule.ts';
import { oneForwardOneBackward, type Schedule, type StageLinks } from './schedule.ts';
import { simulate } from './simulate.ts';

export interface ParallelPlan extends CutPlan {
  readonly stages: readonly StageLinks[];
  readonly schedule: Schedule;
  /** Expected share of time that the parts compute. */
  readonly utilisation: number;
  /** How many times as fast as one process, by the estimate. */
  readonly speedup: number;
  /** By part: weights with gradient and optimizer state, activations. */
  readonly memoryBytes: readonly number[];
  /** Of one process that trains the whole on the same micro-batch. */
  readonly wholeMemoryBytes: number;
  /** Activations, and as many gradients, that one batch moves between parts. */
  readonly crossingBytes: number;
  /** What to do instead; null where the cut pays. */
  readonly advice: string | null;
}

export interface PlanOptions {
  readonly mode: 'pipeline' | 'branch';
  readonly parts: number;
  readonly microBatches: number;
  readonly fetch: readonly string[];
  /** Of one micro-batch. */
  readonly costs: NetworkCosts;
}

/** Refuses nothing: where a cut does not pay, `advice` says so. */
export function planParallel(parts: NetworkParts, options: PlanOptions): ParallelPlan {
  const { mode, costs, microBatches, fetch } = options;
  const branches = mode === 'branch' ? planBranches(parts.program, costs, options.parts) : null;
  const stageOf = branches?.stageOf ?? planChain(parts.program, costs, options.parts);
  const cut = cutIntoStages(parts, { stageOf, fetch });
  const stages = cut.map(
    ({ index, receives }): StageLinks => ({
      part: branches ? elementAt(branches.partOf, index, 'stage') : index,
      receives: [...new Set(receives.map(({ from }) => from))],
    }),
  );
  const passes = stages.map((_, stage) => passCosts(stageOf, stage, stages.length, costs));
  const schedule = branches
    ? listSchedule({
        stages: stages.map((links, stage) => ({ ...links, costs: elementAt(passes, stage, 'stage') })),
        microBatches,
        inFlight: stages.map(() => stages.length),
      })
    : oneForwardOneBackward(stages.length, microBatches);
  const bytes = bytesOf(parts, costs);
  const crossing = cut.flatMap(({ sends }) => sends).reduce((sum, { name }) => sum + (bytes.get(name) ?? 0), 0);
  const figures = simulate(schedule, {
    stages,
    duration: ({ kind, stage }) => elementAt(passes, stage, 'stage')[kind] ?? 0,
    transfer: (crossing / Math.max(1, stages.length - 1)) * costs.workPerByte,
  });
  const whole = costs.instructions.reduce((sum, { work }) => sum + work, 0);
  const speedup = (microBatches * 3 * whole) / figures.makespan;
  return {
    stageOf,
    fetch,
    stages,
    schedule,
    utilisation: figures.utilisation,
    speedup,
    memoryBytes: schedule.map((_, part) =>
      cut
        .filter(({ index }) => stages[index]?.part === part)
        .reduce((sum, each) => sum + memoryOf(each, bytes, figures.inFlight[each.index] ?? 0), 0),
    ),
    wholeMemoryBytes: memoryOf({ parts, inputs: [], receives: [] }, bytes, 1),
    crossingBytes: microBatches * crossing,
    advice: adviceFor(parts, options, { speedup, whole, parts: schedule.length }),
  };
}

/** A backward pass costs two forward ones (He et al. count the same), and one more to compute the stage again. */
function passCosts(stageOf: readonly number[], stage: number, stages: number, costs: NetworkCosts): PassCosts {
  const work = costs.instructions.reduce((sum, cost, i) => sum + (stageOf[i] === stage ? cost.work : 0), 0);
  const isLast = stage === stages - 1;
  return { forward: isLast ? 0 : work, backward: 3 * work, weights: null };
}

function bytesOf({ program }: NetworkParts, { instructions }: NetworkCosts): ReadonlyMap<string, number> {
  return new Map(
    program.instructions.flatMap(({ node }, i) =>
      node.outputs.map((name, output) => [name, instructions[i]?.outputBytes[output] ?? 0] as const),
    ),
  );
}

/** A weight with its gradient and two optimizer slots. */
const COPIES_OF_WEIGHTS = 4;

/** Received values of all micro-batches under way, and the values of the one that is computed. */
function memoryOf(
  { parts, receives }: Pick<StageParts, 'parts' | 'inputs' | 'receives'>,
  bytes: ReadonlyMap<string, number>,
  inFlight: number,
): number {
  const weights = [...parts.weights.values()].reduce((sum, { tensor }) => sum + 4 * elementCount(tensor.dims), 0);
  const sum = (names: readonly string[]): number => names.reduce((total, name) => total + (bytes.get(name) ?? 0), 0);
  return (
    COPIES_OF_WEIGHTS * weights +
    inFlight * sum(receives.map(({ name }) => name)) +
    sum(parts.program.instructions.flatMap(({ node }) => node.outputs))
  );
}

interface Outcome {
  readonly speedup: number;
  /** Work of one micro-batch. */
  readonly whole: number;
  /** That were really made. */
  readonly parts: number;
}

/** Replicas exchange every weight's gradient once a batch, in and out. */
function adviceFor(
  { weights }: NetworkParts,
  { mode, parts: asked, microBatches, costs }: PlanOptions,
  { speedup, whole, parts }: Outcome,
): string | null {
  const bytes = [...weights.values()].reduce((sum, { tensor }) => sum + 4 * elementCount(tensor.dims), 0);
  const work = 3 * microBatches * whole;
  const sync = work / (work / asked + 2 * bytes * costs.workPerByte);
  if (speedup >= sync) return null;
  const reason = parts < asked ? ` The graph has work for ${parts} of ${asked} parts.` : '';
  return (
    `"${mode}" does not pay for speed: about ${speedup.toFixed(1)} times as fast as one process, ` +
    `"sync" with ${asked} replicas about ${sync.toFixed(1)} times; use sync unless one process lacks the memory.${reason}`
  );
}
