/** A network whose weights are uploaded to the device on first use. */
import { LoweredNetwork } from './lowered-network.ts';
import type { Network } from './network.ts';
import type { NetworkParts } from './network-parts.ts';

export class LazyNetwork {
  private readonly parts: NetworkParts;
  private readonly startEngine: () => Promise<unknown>;
  private made: Network | null = null;

  constructor(parts: NetworkParts, startEngine: () => Promise<unknown> = async () => undefined) {
    this.parts = parts;
    this.startEngine = startEngine;
  }

  async get(): Promise<Network> {
    if (this.made) return this.made;
    await this.startEngine();
    return (this.made = new LoweredNetwork(this.parts));
  }

  dispose(): void {
    this.made?.dispose();
  }
}
