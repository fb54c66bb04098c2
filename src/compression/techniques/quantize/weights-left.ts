/**
 * Warns if a large part of the weights stays in float: weights of operators that only onnxruntime knows, or that accept
 * no other constants.
 */
import { weights } from '../../graph/describe.ts';
import { walkNodes } from '../../ir/edit.ts';
import { elementCount, isFloat } from '../../ir/tensor-data.ts';
import type { Model, Node, Tensor } from '../../ir/types.ts';
import { countWeights } from '../../graph/weights.ts';
import { layerMatcher } from '../layer-filter.ts';
import type { StepContext } from '../../step/step-context.ts';
import { MIN_ELEMENTS } from './graph-parts.ts';
import type { QuantizeParameters } from './spec.ts';

/** Share of all values; less matters little. */
export const NOTABLE_SHARE = 0.2;

/** `model`: after an integer method. */
export function warnOfWeightsLeft({ graph }: Model, parameters: QuantizeParameters, context: StepContext): void {
  const readers = new Map<string, Node>();
  walkNodes(graph, (node) => node.inputs.forEach((name) => readers.set(name, node)));
  const selected = layerMatcher(parameters.layers);
  const left = weights(graph).filter(
    ({ name, dtype, dims }) =>
      readers.has(name) &&
      isFloat(dtype) &&
      dims.length > 1 &&
      elementCount(dims) >= MIN_ELEMENTS &&
      selected([name, readers.get(name)?.name ?? '']),
  );
  const share =
    left.reduce((sum, { dims }) => sum + elementCount(dims), 0) / Math.max(1, countWeights(graph).parameters);
  if (share < NOTABLE_SHARE) return;
  const operators = new Set(left.flatMap(({ name }) => operatorOf(readers.get(name))));
  context.warn(
    'weights-left-in-float',
    `${Math.round(share * 100)} % of the weights stay in float, ` +
      `those of ${[...operators].join(', ')}: ${listed(left)}`,
  );
}

const listed = ([first, ...others]: readonly Tensor[]): string =>
  `"${first?.name ?? ''}"${others.length > 0 ? ` and ${others.length} more` : ''}`;
const operatorOf = (node: Node | undefined): string[] =>
  node ? [node.domain === '' ? node.opType : `${node.domain}.${node.opType}`] : [];
