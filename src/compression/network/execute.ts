/**
 * Runs a program: instructions in order, values in slots, bodies of control flow as programs in inner scopes.
 */
import { GraphError, located, printable } from '../ir/graph-error.ts';
import { LatheError } from '../../errors.ts';
import type { Graph } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Inferred } from '../ir/node-info.ts';
import type { Value } from '../operators/operator.ts';
import { tf } from '../tensor/tf.ts';
import type { TfTensor } from '../tensor/tf.ts';
import { givesLayout } from './layout.ts';
import type { Program, Instruction } from './program.ts';
import { NodeContext, type NodeScope } from './node-context.ts';
import type { RunState } from './run-state.ts';
import { Slot } from './slot.ts';

export class Scope implements NodeScope {
  readonly program: Program;
  readonly run: RunState;
  private readonly values = new Map<string, Slot>();
  private readonly constants: ReadonlyMap<string, Slot>;
  private readonly outer: Scope | null;
  /** Tensors that several values may share: an instruction passed them through, or a body returned them. */
  private readonly shared = new Set<TfTensor>();

  constructor(program: Program, run: RunState, outer: Scope | null = null) {
    this.program = program;
    this.run = run;
    this.outer = outer;
    this.constants = run.constantsOf(program);
  }

  set(name: string, slot: Slot): void {
    this.values.set(name, slot);
  }

  /** @throws Error where no value of this name exists yet. */
  get(name: string): Slot {
    const slot = this.find(name);
    if (!slot) throw new GraphError(`value "${printable(name)}" has not been computed`);
    return slot;
  }

  /**
   * @param ends values to free after each instruction (`lastUses`), with its intermediates; absent: everything lasts
   */
  execute(instructions: readonly Instruction[], ends?: ReadonlyMap<Instruction, readonly string[]>): void {
    for (const instruction of instructions) {
      if (!ends) this.step(instruction);
      else tf.tidy(() => this.tensorsAfter(instruction));
      for (const name of ends?.get(instruction) ?? []) this.free(name);
    }
  }

  /**
   * Runs an instruction.
   * @returns the tensors that outlive it: its results, and its inputs in layouts made for it
   */
  private tensorsAfter(instruction: Instruction): TfTensor[] {
    this.step(instruction);
    const slots = [...instruction.uses, ...instruction.node.outputs].flatMap((name) =>
      name === '' ? [] : (this.find(name) ?? []),
    );
    return [...slots.flatMap((slot) => slot.tensors), ...this.run.stateUpdates.values()];
  }

  private free(name: string): void {
    this.values.get(name)?.free(this.shared);
    this.values.delete(name);
  }

  /** Runs a body with these values for its inputs. */
  subgraph(graph: Graph, feeds: ReadonlyMap<string, Value>): Value[] {
    const inner = new Scope(this.run.programOf(graph, this.program), this.run, this);
    for (const [name, value] of feeds) inner.set(name, Slot.of(value));
    inner.execute(inner.program.instructions);
    return graph.outputs.map(({ name }) => inner.get(name).value());
  }

  private find(name: string): Slot | undefined {
    return this.values.get(name) ?? this.constants.get(name) ?? this.outer?.find(name);
  }

  private step(instruction: Instruction): void {
    const inputs = instruction.node.inputs.map((name) => (name === '' ? null : this.get(name)));
    const ctx = new NodeContext(instruction, inputs, this);
    if (!this.outer) this.run.salts.begin(instruction.drawIndex);
    try {
      this.settle(instruction, ctx, inputs, compute(instruction, ctx, inputs));
    } catch (error) {
      throw located(instruction.node, error);
    }
  }

  private settle(
    instruction: Instruction,
    ctx: NodeContext,
    inputs: readonly (Slot | null)[],
    results: readonly (TfTensor | Value)[],
  ): void {
    let inferred: readonly Inferred[] | undefined;
    instruction.node.outputs.forEach((name, i) => {
      const result = results[i];
      if (name === '' || result === undefined) return;
      if ('kind' in result) {
        if (result.kind === 'device') this.shared.add(result.tensor);
        this.set(name, Slot.of(result));
        return;
      }
      if (inputs.some((slot) => slot?.holds(result)) || results.indexOf(result) < i) this.shared.add(result);
      const type = instruction.outputTypes[i] ?? (inferred ??= instruction.operator.infer(ctx))[i];
      const layout =
        instruction.layout === 'channels-last' && givesLayout(instruction.operator.layout, i)
          ? 'channels-last'
          : 'onnx';
      this.set(name, Slot.ofDevice(type?.dtype ?? dtypeOf(result), result, layout));
    });
  }
}

/** Host form where all inputs are host values (or no device form exists), else device form. */
function compute(
  instruction: Instruction,
  ctx: NodeContext,
  inputs: readonly (Slot | null)[],
): readonly (TfTensor | Value)[] {
  const { operator } = instruction;
  if (operator.host && (!operator.device || inputs.every((slot) => slot === null || slot.isHost))) {
    return hostValues(
      operator.host(
        inputs.map((slot, i) => slot && ctx.host(i)),
        ctx,
      ),
    );
  }
  if (!operator.device)
    throw new LatheError('unsupported-operator', `the engine cannot compute operator ${operator.type}`);
  return operator.device(ctx);
}

function hostValues(results: readonly HostTensor[]): Value[] {
  return results.map((value) => ({ kind: 'host', value }));
}

function dtypeOf(tensor: TfTensor): 'float32' | 'bool' | 'int32' {
  return tensor.dtype === 'float32' || tensor.dtype === 'bool' ? tensor.dtype : 'int32';
}
