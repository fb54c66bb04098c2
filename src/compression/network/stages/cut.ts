/** Cuts a program into stages: programs of their own, which together compute what the whole does. */
import { elementAt } from '../../ir/checked-access.ts';
import { GraphError, printable } from '../../ir/graph-error.ts';
import type { ValueInfo } from '../../ir/types.ts';
import { gradientCarriers } from '../gradient-paths.ts';
import { planLayouts } from '../layout.ts';
import type { NetworkParts } from '../network-parts.ts';
import { instructionsFor, type Instruction, type Program } from '../program.ts';
import type { Crossing, CutPlan, StageParts } from './cut-plan.ts';

/**
 * Every stage has the instructions of the plan that the outputs and fetched values need, and the weights that these
 * read; a weight that several stages read is a parameter of each (their gradients are to be summed).
 * @throws Error where the plan does not fit the program, or a value would flow to an earlier stage
 */
export function cutIntoStages(parts: NetworkParts, plan: CutPlan): readonly StageParts[] {
  const cut = new Cut(parts, plan);
  return cut.stages.map((_, index) => cut.stage(index));
}

class Cut {
  /** The instructions of each stage. */
  readonly stages: readonly (readonly Instruction[])[];
  private readonly parts: NetworkParts;
  /** What the last stage returns. */
  private readonly results: readonly string[];
  private readonly crossings: readonly Crossing[];
  /** By stage, the values it reads and does not compute, constants not counted. */
  private readonly reads: readonly ReadonlySet<string>[];

  constructor(parts: NetworkParts, { stageOf, fetch }: CutPlan) {
    const { instructions, graph } = parts.program;
    if (stageOf.length !== instructions.length)
      throw new Error(
        `The cut names stages for ${stageOf.length} instructions; the program has ${instructions.length}`,
      );
    this.parts = parts;
    this.results = [...new Set([...graph.outputs.map(({ name }) => name), ...fetch])];
    const needed = new Set(instructionsFor(parts.program, this.results));
    this.stages = Array.from({ length: Math.max(0, ...stageOf) + 1 }, (_, stage) =>
      instructions.filter((instruction, i) => stageOf[i] === stage && needed.has(instruction)),
    );
    this.reads = this.stages.map((_, stage) => this.readBy(stage));
    this.crossings = this.findCrossings();
  }

  stage(index: number): StageParts {
    const sends = this.crossings.filter(({ from }) => from === index);
    const receives = this.crossings.filter(({ to }) => to === index);
    const inputs = this.modelInputs(index);
    const program = this.programOf(index, [...inputs, ...receives.map(({ name }) => name)], this.resultsOf(index));
    const own = <V>(weights: ReadonlyMap<string, V>): ReadonlyMap<string, V> =>
      new Map([...weights].filter(([name]) => program.graph.initializers.has(name)));
    const { weights, state } = this.parts;
    const parts = { ...this.parts, program, weights: own(weights), state: own(state) };
    return { index, parts, inputs, receives, sends };
  }

  private readBy(stage: number): ReadonlySet<string> {
    const instructions = elementAt(this.stages, stage, 'stage');
    const own = new Set(instructions.flatMap(({ node }) => node.outputs));
    const used = [...instructions.flatMap(({ uses }) => [...uses]), ...this.endsIn(stage)];
    return new Set(used.filter((name) => !own.has(name) && !this.parts.program.graph.initializers.has(name)));
  }

  private findCrossings(): readonly Crossing[] {
    const { program, weights } = this.parts;
    const learned = gradientCarriers({ ...program, graph: { ...program.graph, inputs: [] } }, weights.keys());
    const producer = new Map(
      this.stages.flatMap((instructions, stage) =>
        instructions.flatMap(({ node }) => node.outputs.map((name) => [name, stage] as const)),
      ),
    );
    return this.reads.flatMap((names, to) =>
      [...names].flatMap((name) => {
        const from = producer.get(name);
        if (from === undefined) return [];
        if (from > to)
          throw new GraphError(`value "${printable(name)}" of stage ${from} is read in stage ${to}, before it exists`);
        return [{ name, from, to, learns: learned.has(name) }];
      }),
    );
  }

  /** The results of the whole that a stage returns. */
  private endsIn(stage: number): readonly string[] {
    return stage === this.stages.length - 1 ? this.results : [];
  }

  private resultsOf(stage: number): readonly string[] {
    const sent = this.crossings.filter(({ from }) => from === stage).map(({ name }) => name);
    return [...new Set([...sent, ...this.endsIn(stage)])];
  }

  private modelInputs(stage: number): readonly string[] {
    const read = elementAt(this.reads, stage, 'stage');
    return this.parts.program.graph.inputs.map(({ name }) => name).filter((name) => read.has(name));
  }

  /**
   * Instructions keep their layouts, since the shape of a draw depends on them. What crosses a cut lies in ONNX's order.
   */
  private programOf(stage: number, inputs: readonly string[], outputs: readonly string[]): Program {
    const { graph, types, drawing } = this.parts.program;
    const instructions = elementAt(this.stages, stage, 'stage');
    const used = new Set([...instructions.flatMap(({ uses }) => [...uses]), ...outputs]);
    const info = (name: string): ValueInfo => ({ name, type: types.typeOf(name) });
    const own = {
      ...graph,
      nodes: instructions.map(({ node }) => node),
      initializers: new Map([...graph.initializers].filter(([name]) => used.has(name))),
      inputs: inputs.map(info),
      outputs: outputs.map(info),
    };
    const layouts = instructions.map(({ layout }) => layout);
    return {
      graph: own,
      types,
      drawing,
      instructions,
      transposes: planLayouts(own, instructions, types, layouts).transposes,
    };
  }
}
