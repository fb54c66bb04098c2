/** The network that `lowerModel` makes. */
import type { Graph, Model, Tensor } from '../ir/types.ts';
import { toHost } from '../ir/tensor-data.ts';
import type { Value } from '../operators/operator.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { hasOwnKernels } from '../tensor/native/raw-op.ts';
import { Scope } from './execute.ts';
import { fuseAttention } from './fuse-attention.ts';
import { fuseBatchNorm } from './fuse-batch-norm.ts';
import { gradientCarriers } from './gradient-paths.ts';
import type { Network, Parameter, RunOptions, RunResult } from './network.ts';
import type { NetworkParts } from './network-parts.ts';
import { decays, type Weight } from './parameters.ts';
import { watchLoops } from './loop-limit.ts';
import { lastUses, makeProgram, instructionsFor, type Program, type Instruction } from './program.ts';
import { DrawSalts, type RunState } from './run-state.ts';
import { uploadConstant } from '../operators/transfer.ts';
import { Slot } from './slot.ts';
import { constantsOf, readParameter, writeBack } from './write-back.ts';

export class LoweredNetwork implements Network {
  readonly model: Model;
  readonly inputs: Network['inputs'];
  readonly outputs: Network['outputs'];
  readonly parameters: readonly Parameter[];
  readonly state: readonly Parameter[];
  readonly frozen: Network['frozen'];
  readonly program: Program;
  readonly parts: NetworkParts;
  /** Parameters and statistics of another network, which owns them. */
  private readonly shared: ReadonlyMap<string, Parameter>;
  private readonly variables: ReadonlyMap<string, { parameter: Parameter; tensor: Tensor }>;
  private readonly constants = new Map<Program, Map<string, Slot>>();
  private readonly bodies = new Map<Graph, Program>();
  private readonly plans = new Map<string, readonly Instruction[]>();
  private readonly stateNames: ReadonlySet<string>;

  /** @param shared parameters and running statistics, by name, that another network has on the device */
  constructor(parts: NetworkParts, shared: ReadonlyMap<string, Parameter> = new Map()) {
    const { model, program } = parts;
    this.parts = parts;
    this.shared = shared;
    this.model = model;
    this.program = program;
    this.frozen = parts.frozen;
    const origins = new Map(parts.copies.map(({ name, origin }) => [name, origin.name]));
    const parameterOf = (weight: Weight): Parameter =>
      shared.get(weight.tensor.name) ?? makeParameter(weight, origins.get(weight.tensor.name));
    this.parameters = [...parts.weights.values()].map(parameterOf);
    this.state = [...parts.state.values()].map(parameterOf);
    this.stateNames = new Set(parts.state.keys());
    this.variables = new Map(
      [...this.parameters, ...this.state].map((parameter) => [
        parameter.name,
        { parameter, tensor: weightNamed(parameter.name, parts) },
      ]),
    );
    const constants = program.graph.initializers;
    this.inputs = program.graph.inputs
      .filter(({ name }) => !constants.has(name))
      .map(({ name }) => ({ name, type: program.types.typeOf(name) ?? { dtype: 'undefined', shape: null } }));
    this.outputs = program.graph.outputs.map(({ name }) => ({ name, type: program.types.typeOf(name) }));
  }

  /** Values moved between layouts in one run, bodies of control flow not counted. */
  get transposes(): number {
    return this.program.transposes;
  }

  run(feeds: ReadonlyMap<string, Value>, options: RunOptions): RunResult {
    const stateUpdates = new Map<string, TfTensor>();
    const scope = new Scope(this.program, this.runState(options, stateUpdates));
    for (const [name, { parameter, tensor }] of this.variables)
      scope.set(name, Slot.ofVariable(tensor.dtype, parameter.dims, parameter.variable, parameter.perm));
    for (const [name, value] of feeds) scope.set(name, Slot.of(value));
    const names = [...this.outputs.map(({ name }) => name), ...(options.fetch ?? [])];
    const instructions = this.plan(options.fetch ?? []);
    scope.execute(instructions, options.freesValues ? lastUses(instructions, new Set(names)) : undefined);
    return { outputs: new Map(names.map((name) => [name, scope.get(name).value()])), stateUpdates };
  }

  async toModel(): Promise<Model> {
    return writeBack(this.model, [...this.parameters, ...this.state], this.parts.copies);
  }

  load(model: Model): void {
    const constants = constantsOf(model.graph);
    for (const parameter of [...this.parameters, ...this.state]) {
      const tensor = constants.get(parameter.name) ?? constants.get(parameter.origin);
      if (!tensor)
        throw new Error(`The model to load has no weight "${parameter.name}"; load one of the same structure`);
      tf.tidy(() => parameter.variable.assign(readParameter(tensor, parameter)));
    }
  }

  dispose(): void {
    for (const { parameter } of this.variables.values())
      if (!this.shared.has(parameter.name)) parameter.variable.dispose();
    for (const slots of this.constants.values()) for (const slot of slots.values()) slot.dispose();
    this.constants.clear();
  }

  private plan(fetch: readonly string[]): readonly Instruction[] {
    const key = JSON.stringify(fetch);
    let instructions = this.plans.get(key);
    if (!instructions)
      this.plans.set(key, (instructions = this.planned(new Set([...this.outputs.map(({ name }) => name), ...fetch]))));
    return instructions;
  }

  private planned(kept: ReadonlySet<string>): readonly Instruction[] {
    const instructions = instructionsFor(this.program, kept);
    if (!hasOwnKernels()) return instructions;
    const normalized = fuseBatchNorm(instructions, this.program.types, kept);
    return fuseAttention(normalized, {
      types: this.program.types,
      kept,
      learns: gradientCarriers(
        this.program,
        this.parameters.map(({ name }) => name),
      ),
    });
  }

  private runState(options: RunOptions, stateUpdates: Map<string, TfTensor>): RunState {
    return {
      training: options.training,
      sharedBatch: options.sharedBatch ?? null,
      seed: options.seed ?? tf.tensor1d([0, 0], 'int32'),
      salts: new DrawSalts(this.program.drawing),
      state: this.stateNames,
      stateUpdates,
      loopWatch: watchLoops(options.loops),
      programOf: (graph, outer) => this.body(graph, outer),
      constantsOf: (program) => this.slots(program),
    };
  }

  /**
   * The program of a body; where inference never met it (its owner was folded), its types are found from what it
   * captures.
   */
  private body(graph: Graph, outer: Program): Program {
    let program = this.bodies.get(graph);
    if (program) return program;
    const types = outer.types.subgraph(graph) ?? outer.types;
    this.bodies.set(graph, (program = makeProgram(graph, types, this.parts.opsets)));
    return program;
  }

  private slots(program: Program): ReadonlyMap<string, Slot> {
    let slots = this.constants.get(program);
    if (slots) return slots;
    slots = new Map();
    const main = program === this.program;
    for (const [name, tensor] of program.graph.initializers) {
      if (main && this.variables.has(name)) continue;
      if (tensor.dtype === 'complex64' || tensor.dtype === 'complex128') continue;
      slots.set(name, Slot.ofHost(toHost(tensor), true));
    }
    this.constants.set(program, slots);
    return slots;
  }
}

function weightNamed(name: string, { weights, state }: NetworkParts): Tensor {
  const weight = weights.get(name) ?? state.get(name);
  if (!weight) throw new Error(`The plan of the network has no weight "${name}"`);
  return weight.tensor;
}

function makeParameter({ tensor, role, perm }: Weight, origin = tensor.name): Parameter {
  const variable = tf.tidy(() => {
    const inOrder = uploadConstant(tensor);
    return tf.variable(
      perm ? tf.transpose(inOrder, [...perm]) : inOrder,
      role !== 'running-mean' && role !== 'running-variance',
    );
  });
  return { name: tensor.name, origin, variable, perm, dims: tensor.dims, role, decays: decays(role) };
}
