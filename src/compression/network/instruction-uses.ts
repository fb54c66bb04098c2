/** Which instructions make and read each value: what finds instructions that can be computed as one. */
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

  /** The only instruction that reads a value, once, and that nobody asks for after the run; null: there are others. */
  onlyUser(name: string): Instruction | null {
    const users = this.users.get(name) ?? [];
    const isOnly =
      users.length === 1 &&
      users[0]!.node.inputs.filter((input) => input === name).length === 1 &&
      !this.kept.has(name);
    return isOnly ? users[0]! : null;
  }
}

/** Whether an instruction is an operator of ONNX's own domain. */
export function isStandard({ node }: Instruction, type: string): boolean {
  return node.domain === '' && node.opType === type;
}
