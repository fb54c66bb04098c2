/** Every operator the engine knows, by domain, type and opset version. */
import { LatheError } from '../../errors.ts';
import { nodeLabel } from '../ir/graph-error.ts';
import type { Node } from '../ir/types.ts';
import { activationOperators } from './activation.ts';
import { arithmeticOperators } from './arithmetic.ts';
import { castOperators } from './cast.ts';
import { convOperators } from './conv.ts';
import { logicOperators } from './logic.ts';
import { matMulOperators } from './matmul.ts';
import { normalizationOperators } from './normalization.ts';
import { poolOperators } from './pool.ts';
import { reduceOperators } from './reduce.ts';
import { shapeValueOperators } from './shape-values.ts';
import { reshapeOperators } from './reshape.ts';
import { joinSplitOperators } from './join-split.ts';
import { sliceOperators } from './slice.ts';
import { padOperators } from './pad.ts';
import { repeatOperators } from './repeat.ts';
import { cumulativeOperators } from './cumulative.ts';
import { sequenceAxisOperators } from './sequence-axis.ts';
import { determinantOperators } from './determinant.ts';
import { stringOperators } from './strings.ts';
import { softmaxOperators } from './softmax.ts';
import { unaryOperators } from './unary.ts';
import { resizeOperators } from './resize.ts';
import { recurrentOperators } from './recurrent.ts';
import { gatherOperators } from './gather.ts';
import { selectionOperators } from './selection.ts';
import { scatterOperators } from './scatter.ts';
import { lossOperators } from './loss.ts';
import { quantizedOperators } from './quantized.ts';
import { randomOperators } from './random.ts';
import { controlFlowOperators } from './control-flow.ts';
import { einsumOperators } from './einsum.ts';
import { attentionOperators } from './attention.ts';
import { linearRecurrenceOperators } from './linear-recurrence.ts';
import { rotaryOperators } from './rotary-embedding.ts';
import { integerComputeOperators } from './integer-compute.ts';
import { integerContribOperators } from './integer-contrib.ts';
import { samplingOperators } from './sampling.ts';
import { spectralOperators } from './spectral.ts';
import { placingOperators } from './placing.ts';
import { detectionOperators } from './detection.ts';
import { tfIdfOperators } from './tf-idf.ts';
import { contribAttentionOperators } from './contrib-attention.ts';
import { classicalOperators } from './classical.ts';
import { contribOperators } from './contrib.ts';
import type { Operator } from './operator.ts';

/** One list per family file. */
const FAMILIES: readonly (readonly Operator[])[] = [
  convOperators,
  poolOperators,
  normalizationOperators,
  matMulOperators,
  activationOperators,
  softmaxOperators,
  arithmeticOperators,
  unaryOperators,
  logicOperators,
  reduceOperators,
  castOperators,
  stringOperators,
  determinantOperators,
  sequenceAxisOperators,
  cumulativeOperators,
  repeatOperators,
  padOperators,
  sliceOperators,
  joinSplitOperators,
  reshapeOperators,
  shapeValueOperators,
  resizeOperators,
  recurrentOperators,
  gatherOperators,
  scatterOperators,
  selectionOperators,
  quantizedOperators,
  randomOperators,
  lossOperators,
  controlFlowOperators,
  einsumOperators,
  attentionOperators,
  linearRecurrenceOperators,
  rotaryOperators,
  integerComputeOperators,
  samplingOperators,
  spectralOperators,
  placingOperators,
  detectionOperators,
  tfIdfOperators,
  contribOperators,
  contribAttentionOperators,
  integerContribOperators,
  classicalOperators,
];

const table = new Map<string, Operator[]>();
for (const operator of FAMILIES.flat()) {
  const key = `${operator.domain}:${operator.type}`;
  const entries = table.get(key);
  if (entries?.some((other) => overlap(operator, other))) {
    throw new Error(`Operator ${key} is registered twice for one opset version`);
  }
  if (entries) entries.push(operator);
  else table.set(key, [operator]);
}

function overlap(a: Operator, b: Operator): boolean {
  return a.since <= (b.until ?? Infinity) && b.since <= (a.until ?? Infinity);
}

/** Every entry. */
export function allOperators(): readonly Operator[] {
  return [...table.values()].flat();
}

/** The entry for a type at an opset version of its domain. */
export function findOperator(domain: string, type: string, opset: number): Operator | undefined {
  return table.get(`${domain}:${type}`)?.find(({ since, until = Infinity }) => since <= opset && opset <= until);
}

/** As `findOperator`, for a node. @throws LatheError `unsupported-operator` with the node. */
export function operatorOf(node: Node, opset: number): Operator {
  const operator = findOperator(node.domain, node.opType, opset);
  if (operator) return operator;
  const label = nodeLabel(node);
  const name = node.domain === '' ? node.opType : `${node.domain}.${node.opType}`;
  const message = table.has(`${node.domain}:${node.opType}`)
    ? `operator ${name} is not known at opset ${opset}`
    : `operator ${name} is not known`;
  throw new LatheError('unsupported-operator', `${label}: ${message}`, [{ path: label, message }]);
}
