/**
 * Cuts a program, in its order, into stages whose slowest is as fast as possible: dynamic programming over the places to
 * cut, as for the linear partition problem, with what crosses a cut counted on both of its sides.
 */
import { elementAt } from '../../ir/checked-access.ts';
import type { Program } from '../../network/program.ts';
import type { NetworkCosts } from './costs.ts';
import { flowOf, withLateConstants, type Flow } from './flow.ts';

/** The stage of each instruction; fewer stages than asked where there are fewer instructions. */
export function planChain(program: Program, costs: NetworkCosts, stages: number): number[] {
  const flow = flowOf(program, costs);
  const length = program.instructions.length;
  const places = bestPlaces(length, Math.max(1, Math.min(stages, length)), segmentCost(costs, flow));
  return withLateConstants(
    program.instructions.map((_, i) => places.filter((place) => place <= i).length),
    flow,
  );
}

/** Time of the instructions from one place up to another. */
type SegmentCost = (from: number, to: number) => number;

function segmentCost({ instructions, workPerByte }: NetworkCosts, flow: Flow): SegmentCost {
  const before = [0];
  for (const { work } of instructions) before.push(elementAt(before, before.length - 1, 'sum') + work);
  const crossing = crossingBytes(instructions.length, flow).map((bytes) => bytes * workPerByte);
  const at = (values: readonly number[], index: number): number => elementAt(values, index, 'place');
  return (from, to) => at(before, to) - at(before, from) + at(crossing, from) + at(crossing, to);
}

/** By place, bytes of the values made before it and read after it, each counted once. */
function crossingBytes(length: number, { edges, depends }: Flow): number[] {
  const last = new Map<string, { from: number; to: number; bytes: number }>();
  for (const edge of edges) if (depends[edge.from]) last.set(edge.name, edge); // edges are in order of their readers
  const changes = new Array<number>(length + 2).fill(0);
  for (const { from, to, bytes } of last.values()) {
    changes[from + 1] = (changes[from + 1] ?? 0) + bytes;
    changes[to + 1] = (changes[to + 1] ?? 0) - bytes;
  }
  let sum = 0;
  return changes.slice(0, length + 1).map((change) => (sum += change));
}

interface Best {
  readonly cost: number;
  readonly places: readonly number[];
}

/** The places at which the second and later stages begin. */
function bestPlaces(length: number, stages: number, cost: SegmentCost): readonly number[] {
  let best: Best[] = Array.from({ length: length + 1 }, (_, to) => ({ cost: cost(0, to), places: [] }));
  for (let stage = 1; stage < stages; stage++) {
    const before = best;
    best = before.map((_, to) => {
      let found: Best = { cost: Infinity, places: [] };
      for (let from = stage; from < to; from++) {
        const earlier = elementAt(before, from, 'place');
        const longest = Math.max(earlier.cost, cost(from, to));
        if (longest < found.cost) found = { cost: longest, places: [...earlier.places, from] };
      }
      return found;
    });
  }
  return elementAt(best, length, 'place').places;
}
