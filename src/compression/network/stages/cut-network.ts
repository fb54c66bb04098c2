/** The stages of a network that is on the device already. */
import { LoweredNetwork } from '../lowered-network.ts';
import type { Network } from '../network.ts';
import { cutIntoStages } from './cut.ts';
import type { CutPlan } from './cut-plan.ts';
import { Stage } from './stage.ts';

/**
 * Stages with the network's own variables: what trains them trains the network. Dispose of them before the network.
 * @throws Error as `cutIntoStages`
 */
export function cutNetwork(network: Network, plan: CutPlan): readonly Stage[] {
  const shared = new Map([...network.parameters, ...network.state].map((parameter) => [parameter.name, parameter]));
  return cutIntoStages(network.parts, plan).map((parts) => new Stage(parts, new LoweredNetwork(parts.parts, shared)));
}
