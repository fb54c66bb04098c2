/** Where the engine's outputs differ from onnxruntime's by more than rounding explains. */
import { writeOnnx } from '../formats/onnx/write.ts';
import { topologicalOrder, usedNames } from '../ir/edit.ts';
import type { DataType, Model } from '../ir/types.ts';
import { openRuntime, type Feeds, type Runtime, type RuntimeOptions, type RuntimeOutput } from '../measure/session.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import { relativeDifference } from './compare.ts';
import { runNetwork } from './run-network.ts';
import type { Network } from '../network/network.ts';
import { roundingAllowance, type Trial } from './rounding.ts';

/** Largest allowed difference of an output, relative to its range; very deep networks may differ more. */
export const AGREEMENT = 1e-4;

export interface Difference {
  readonly value: string;
  readonly reason: string;
}

export interface Results {
  readonly expected: ReadonlyMap<string, RuntimeOutput>;
  readonly outputs: ReadonlyMap<string, HostTensor>;
}

export async function runBoth(
  network: Network,
  runtime: Runtime,
  feeds: Feeds,
  names: readonly string[],
): Promise<Results> {
  return { expected: await runtime.run(feeds, names), outputs: runNetwork(network, feeds, names) };
}

/** By value, the allowed difference. */
export type Allowance = (name: string) => number;

export function firstDifference(
  { expected, outputs }: Results,
  names: readonly string[],
  allowance: Allowance,
): Difference | null {
  for (const name of names) {
    const want = expected.get(name);
    const got = outputs.get(name);
    if (!want || !got) continue;
    const off = relativeDifference(got, hostOf(want));
    if (off > allowance(name)) return { value: name, reason: describe(got, want, off, allowance(name)) };
  }
  return null;
}

/**
 * How much rounding may change these values, which must be outputs of the model. Perturbs the model as it was read, not
 * the file.
 */
export async function rounding(
  given: Trial,
  { parameters, state }: Network,
  names: readonly string[],
  options: RuntimeOptions = {},
): Promise<Allowance> {
  const run = async ({ model, feeds }: Trial) => {
    const runtime = await openRuntime(writeOnnx(model), { threads: 2, ...options });
    return runtime.run(feeds, names).finally(() => runtime.release());
  };
  const still = await run(given);
  const moved = await roundingAllowance(
    given,
    [...parameters, ...state].map(({ origin }) => origin),
    async (nudged) =>
      new Map(
        [...(await run(nudged))].map(([name, output]) => {
          const unmoved = still.get(name);
          return [name, unmoved ? relativeDifference(hostOf(output), hostOf(unmoved)) : Infinity];
        }),
      ),
  );
  const minAllowance = allowedDifference(given.model);
  return (name) => Math.max(minAllowance, moved.get(name) ?? 0);
}

/** Float32's unit roundoff. */
const ROUNDOFF = 2 ** -24;

/**
 * Each operator rounds once, and errors that only add up grow with the longest chain of operators: beyond about 1,700
 * operators they exceed `AGREEMENT` (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1).
 */
export function allowedDifference({ graph }: Model): number {
  const depths = new Map<string, number>();
  let deepest = 0;
  for (const node of topologicalOrder(graph)) {
    let depth = 1;
    for (const name of usedNames(node)) depth = Math.max(depth, 1 + (depths.get(name) ?? 0));
    for (const name of node.outputs) depths.set(name, depth);
    deepest = Math.max(deepest, depth);
  }
  return Math.max(AGREEMENT, deepest * ROUNDOFF);
}

function describe(got: HostTensor, want: RuntimeOutput, off: number, allowed: number): string {
  if (got.dims.join() !== want.dims.join())
    return `the engine gives shape [${got.dims.join(', ')}], onnxruntime [${want.dims.join(', ')}]`;
  const limit = Number(allowed.toPrecision(2));
  return `the engine differs from onnxruntime by ${off.toExponential(1)} of the output's range (${limit} is allowed)`;
}

function hostOf({ dtype, dims, data }: RuntimeOutput): HostTensor {
  return { dtype: dtype as DataType, dims, data };
}
