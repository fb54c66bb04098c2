/** The data's way through a program: who computes what each instruction reads. Instructions go by their index. */
import { elementAt } from '../../ir/checked-access.ts';
import type { Program } from '../../network/program.ts';
import type { NetworkCosts } from './costs.ts';

export interface Flow {
  /** Bytes from one instruction to another. */
  readonly edges: readonly {
    readonly from: number;
    readonly to: number;
    readonly name: string;
    readonly bytes: number;
  }[];
  /** Whether an instruction depends on an input of the model. */
  readonly depends: readonly boolean[];
}

export function flowOf({ instructions, graph }: Program, costs: NetworkCosts): Flow {
  const producers = new Map<string, { index: number; bytes: number }>();
  instructions.forEach(({ node }, index) => {
    const { outputBytes } = elementAt(costs.instructions, index, 'cost');
    node.outputs.forEach((name, i) => producers.set(name, { index, bytes: outputBytes[i] ?? 0 }));
  });
  const inputs = new Set(graph.inputs.map(({ name }) => name).filter((name) => !graph.initializers.has(name)));
  const depends: boolean[] = [];
  const edges = instructions.flatMap(({ uses }, to) => {
    const before = [...uses].flatMap((name) => {
      const found = producers.get(name);
      return found ? [{ from: found.index, to, name, bytes: found.bytes }] : [];
    });
    depends.push([...uses].some((name) => inputs.has(name)) || before.some(({ from }) => depends[from]));
    return before;
  });
  return { edges, depends };
}

/** What does not depend on the data moves to the first stage that reads it, so that it crosses no cut needlessly. */
export function withLateConstants(stageOf: readonly number[], { edges, depends }: Flow): number[] {
  const late = [...stageOf];
  for (let index = late.length - 1; index >= 0; index--) {
    if (depends[index]) continue;
    const readers = edges.filter(({ from }) => from === index).map(({ to }) => late[to] ?? 0);
    if (readers.length > 0) late[index] = Math.min(...readers);
  }
  return late;
}
