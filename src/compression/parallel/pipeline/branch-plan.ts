/**
 * Spreads parallel branches of a graph over parts, by HEFT (Topcuoglu et al. 2002): instructions in order of the longest
 * way to the end, each on the part where it ends first, with the time of what crosses.
 */
import { elementAt } from '../../ir/checked-access.ts';
import type { Program } from '../../network/program.ts';
import type { NetworkCosts } from './costs.ts';
import { flowOf, type Flow } from './flow.ts';

export interface BranchPlan {
  readonly stageOf: readonly number[];
  /** By stage, the part that computes it. */
  readonly partOf: readonly number[];
}

export function planBranches(program: Program, costs: NetworkCosts, parts: number): BranchPlan {
  const flow = flowOf(program, costs);
  return intoStages(assign(costs, flow, parts), flow);
}

function assign(costs: NetworkCosts, { edges }: Flow, parts: number): number[] {
  const { instructions, workPerByte } = costs;
  const into = instructions.map((_, index) => edges.filter(({ to }) => to === index));
  const ranks = upwardRanks(costs, edges);
  const order = instructions.map((_, index) => index).sort((a, b) => at(ranks, b) - at(ranks, a) || a - b);
  const [partOf, ends, free] = [new Map<number, number>(), new Map<number, number>(), new Array<number>(parts).fill(0)];
  for (const index of order) {
    const endOn = (part: number): number =>
      Math.max(
        at(free, part),
        ...at(into, index).map(
          ({ from, bytes }) => (ends.get(from) ?? 0) + (partOf.get(from) === part ? 0 : bytes * workPerByte),
        ),
      ) + at(instructions, index).work;
    let best = 0;
    for (let part = 1; part < parts; part++) if (endOn(part) < endOn(best)) best = part;
    const end = endOn(best);
    partOf.set(index, best);
    ends.set(index, end);
    free[best] = end;
  }
  return instructions.map((_, index) => partOf.get(index) ?? 0);
}

/** The longest way from each instruction to the end, its own work included; a reader always has less. */
function upwardRanks({ instructions, workPerByte }: NetworkCosts, edges: Flow['edges']): number[] {
  const after = instructions.map(() => 0);
  for (let index = instructions.length - 1; index >= 0; index--) {
    after[index] = at(after, index) + at(instructions, index).work;
    for (const { from, bytes } of edges.filter(({ to }) => to === index))
      after[from] = Math.max(at(after, from), at(after, index) + bytes * workPerByte);
  }
  return after;
}

/**
 * A part's instructions make one stage as long as they wait for the same number of changes between parts: then a stage
 * waits for nothing that one of its own values leads to.
 */
function intoStages(partOf: readonly number[], { edges }: Flow): BranchPlan {
  const levels = partOf.map(() => 0);
  for (const { from, to } of edges)
    levels[to] = Math.max(at(levels, to), at(levels, from) + Number(at(partOf, from) !== at(partOf, to)));
  const keys = partOf.map((part, index) => ({ level: at(levels, index), part }));
  const stages = [...new Map(keys.map((key) => [`${key.level} ${key.part}`, key])).values()].sort(
    (a, b) => a.level - b.level || a.part - b.part,
  );
  return {
    stageOf: keys.map(({ level, part }) => stages.findIndex((stage) => stage.level === level && stage.part === part)),
    partOf: stages.map(({ part }) => part),
  };
}

function at<T>(values: readonly T[], index: number): T {
  return elementAt(values, index, 'instruction');
}
