/** The processors that an int8 file is made for. */
import { productsSaturate } from '../../measure/saturation-probe.ts';
import type { QuantizeParameters } from './spec.ts';

export type Target = QuantizeParameters['target'];

const SATURATES: Readonly<Record<Target, () => boolean | Promise<boolean>>> = {
  any: () => true,
  'x86-avx2': () => true,
  'x86-vnni': () => false,
  arm64: () => false,
  'this-machine': productsSaturate,
};

/**
 * Whether the file may run on processors that add pairs of products with saturation to 16 bits (graph/saturation.ts),
 * so that the weights' codes must keep pairs within them. That raises the weights' noise by 0.7 to 2.7 dB (measured on
 * normal, Laplace and t-distributed weights, 27 to 1,152 to a sum); 7-bit weights by 6 dB.
 */
export async function maySaturate(target: Target): Promise<boolean> {
  return SATURATES[target]();
}
