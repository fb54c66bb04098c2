/** Which steps make and read each value: what finds steps that can be computed as one. */
import type { Step } from './program.ts';

export class StepUses {
  private readonly producers = new Map<string, Step>();
  private readonly users = new Map<string, Step[]>();
  private readonly kept: ReadonlySet<string>;

  /** @param kept values that must exist after the run */
  constructor(steps: readonly Step[], kept: ReadonlySet<string>) {
    this.kept = kept;
    for (const step of steps) {
      for (const name of step.node.outputs) this.producers.set(name, step);
      for (const name of step.uses) this.users.set(name, [...(this.users.get(name) ?? []), step]);
    }
  }

  producer(name: string): Step | undefined {
    return this.producers.get(name);
  }

  /** The only step that reads a value, once, and that nobody asks for after the run; null: there are others. */
  onlyUser(name: string): Step | null {
    const users = this.users.get(name) ?? [];
    const isOnly =
      users.length === 1 &&
      users[0]!.node.inputs.filter((input) => input === name).length === 1 &&
      !this.kept.has(name);
    return isOnly ? users[0]! : null;
  }
}

/** Whether a step is an operator of ONNX's own domain. */
export function isStandard({ node }: Step, type: string): boolean {
  return node.domain === '' && node.opType === type;
}
