/**
 * A graph as a list of instructions in running order, each with its operator and layout; made once for the model and
 * once for each body.
 */
import { makesNoise } from '../graph/draws.ts';
import { inferShapes, opsetOf, type TypeTable } from '../graph/infer.ts';
import { elementAt } from '../ir/checked-access.ts';
import { topologicalOrder, usedNames } from '../ir/edit.ts';
import type { Graph, Model } from '../ir/types.ts';
import type { Layout } from '../operators/operator.ts';
import { operatorOf } from '../operators/registry.ts';
import { planLayouts, type Placed } from './layout.ts';

export interface Instruction extends Placed {
  readonly opset: number;
  readonly layout: Layout;
  /** Values that must exist before, captured ones included. */
  readonly uses: ReadonlySet<string>;
  /** Lies on a path from a trained weight to an output: behaves as in training while training. */
  readonly trained: boolean;
  /** Its place among the program's drawing instructions, from 0; null where it draws no random numbers. */
  readonly drawIndex: number | null;
}

export interface Program {
  readonly graph: Graph;
  readonly types: TypeTable;
  readonly instructions: readonly Instruction[];
  /** Transposes between layouts that one run makes. */
  readonly transposes: number;
  /** Instructions that draw random numbers. */
  readonly drawing: number;
}

/**
 * @param trained names of values whose producers behave as in training; absent: none.
 * @throws LatheError `unsupported-operator` with the first node whose operator is unknown.
 */
export function makeProgram(
  graph: Graph,
  types: TypeTable,
  opsets: ReadonlyMap<string, number>,
  trained: ReadonlySet<string> = new Set(),
): Program {
  let drawing = 0;
  const instructions = topologicalOrder(graph).map((node): Instruction => {
    const opset = opsetOf(opsets, node);
    return {
      node,
      opset,
      operator: operatorOf(node, opset),
      layout: 'onnx',
      uses: usedNames(node),
      outputTypes: node.outputs.map((name) => (name === '' ? null : types.typeOf(name))),
      trained: node.outputs.some((name) => trained.has(name)),
      drawIndex: makesNoise(node) ? drawing++ : null,
    };
  });
  const plan = planLayouts(graph, instructions, types);
  return {
    graph,
    types,
    instructions: instructions.map((instruction, i) => ({
      ...instruction,
      layout: elementAt(plan.layouts, i, 'layout'),
    })),
    transposes: plan.transposes,
    drawing,
  };
}

/** The instructions that the named values need, in order. */
export function instructionsFor(
  program: Pick<Program, 'instructions'>,
  names: Iterable<string>,
): readonly Instruction[] {
  const needed = new Set(names);
  const kept: Instruction[] = [];
  for (const instruction of [...program.instructions].reverse()) {
    if (!instruction.node.outputs.some((name) => needed.has(name))) continue;
    for (const name of instruction.uses) needed.add(name);
    kept.push(instruction);
  }
  return kept.reverse();
}

/** By instruction, the values that nothing needs after it; those of `kept` are always needed. */
export function lastUses(
  instructions: readonly Instruction[],
  kept: ReadonlySet<string>,
): ReadonlyMap<Instruction, readonly string[]> {
  const seen = new Set(kept);
  const last = new Map<Instruction, readonly string[]>();
  for (const instruction of [...instructions].reverse()) {
    const ends = [...new Set([...instruction.uses, ...instruction.node.outputs])].filter(
      (name) => name !== '' && !seen.has(name),
    );
    for (const name of ends) seen.add(name);
    last.set(instruction, ends);
  }
  return last;
}

/** Open dimensions stay open: layouts depend on ranks alone. */
export function typesOf(model: Model): TypeTable {
  return inferShapes(model);
}
