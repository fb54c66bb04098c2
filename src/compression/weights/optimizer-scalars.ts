/** What Adam's update takes beside tensors: computed on the host, for the engine's optimizer and a parameter server's. */

export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

/**
 * rate / (1 - beta1^t), 1 / sqrt(1 - beta2^t), and by what decoupled weight decay keeps of a weight (1 without).
 * @param step counts from 0
 */
export function adamScalars(step: number, learningRate: number, decay: number): [number, number, number] {
  return [
    learningRate / (1 - ADAM.beta1 ** (step + 1)),
    1 / Math.sqrt(1 - ADAM.beta2 ** (step + 1)),
    1 - learningRate * decay,
  ];
}
