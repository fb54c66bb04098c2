/** Producer and readers of each value, for passes that fuse instructions. */
import type { Instruction } from './program.ts';

export class InstructionUses {
  private readonly producers = new Map<string, Instruction>();
  private readonly users = new Map<string, Instruction[]>();
  private readonly kept: ReadonlySet<string>;

  /** @param kept values that must exist after the run */
  constructor(instructions: readonly Instruction[], kept: ReadonlySet<string>) {
    this.kept = kept;
    for (const instruction of instructions) {
      for (const name of instruction.node.outputs) this.producers.set(name, instruction);
      for (const name of instruction.uses) this.users.set(name, [...(this.users.get(name) ?? []), instruction]);
    }
  }

  producer(name: string): Instruction | undefined {
    return this.producers.get(name);
  }

  /** The instruction that alone reads a value, once, where the value is not kept; null: there is none. */
  onlyUser(name: string): Instruction | null {
    const [user, ...others] = this.users.get(name) ?? [];
    if (!user || others.length > 0 || this.kept.has(name)) return null;
    return user.node.inputs.filter((input) => input === name).length === 1 ? user : null;
  }
}

/** Whether an instruction is an operator of ONNX's own domain. */
export function isStandard({ node }: Instruction, type: string): boolean {
  return node.domain === '' && node.opType === type;
}
