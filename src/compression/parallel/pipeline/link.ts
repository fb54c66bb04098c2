/** How values get from one stage to another, whichever process computes it. */
import type { Values } from '../../network/stages/stage.ts';

/** Names what one pass sends to one stage. */
export interface Address {
  /** Values of a forward pass, or gradients of a backward one. */
  readonly kind: 'forward' | 'backward';
  readonly from: number;
  readonly to: number;
  readonly microBatch: number;
}

export interface Link {
  /** Takes over the values. */
  send(address: Address, values: Values): Promise<void>;
  /** Waits for them; the receiver disposes of them. */
  receive(address: Address): Promise<Values>;
}

/** Between the stages of one process. */
export class LocalLink implements Link {
  private readonly held = new Map<string, Values>();

  async send(address: Address, values: Values): Promise<void> {
    this.held.set(keyOf(address), values);
  }

  /** @throws Error where nothing was sent: in one process, what is received was sent before */
  async receive(address: Address): Promise<Values> {
    const key = keyOf(address);
    const values = this.held.get(key);
    if (!values) throw new Error(`Nothing was sent: ${key}`);
    this.held.delete(key);
    return values;
  }
}

export function keyOf({ kind, from, to, microBatch }: Address): string {
  return `${kind} ${from} ${to} ${microBatch}`;
}
