/** Every operator with a gradient is differentiated by some case of the operator tests. */
import { expect, test } from 'vitest';
import { allOperators } from '../../../src/compression/operators/registry.ts';
import type { Operator } from '../../../src/compression/operators/operator.ts';
import { classicalCases } from '../../support/operator-cases/classical.ts';
import { contractionCases } from '../../support/operator-cases/contractions.ts';
import { elementwiseCases } from '../../support/operator-cases/elementwise.ts';
import { highRankCases } from '../../support/operator-cases/high-ranks.ts';
import { indexingCases } from '../../support/operator-cases/indexing.ts';
import { integerContribCases } from '../../support/operator-cases/integer-contrib.ts';
import { movementCases } from '../../support/operator-cases/movement.ts';
import { networkCases } from '../../support/operator-cases/networks.ts';
import { quantizationCases } from '../../support/operator-cases/quantization.ts';
import { reductionCases } from '../../support/operator-cases/reductions.ts';
import { storedGradientCases } from '../../support/operator-cases/stored.ts';

const CASES = [
  classicalCases,
  contractionCases,
  elementwiseCases,
  indexingCases,
  integerContribCases,
  movementCases,
  networkCases,
  highRankCases,
  quantizationCases,
  reductionCases,
  storedGradientCases,
].flat();
/** Differentiated elsewhere: losses in operator-cases/stochastic.ts; bodies are made of the other operators. */
const ELSEWHERE: ReadonlySet<string> = new Set([
  ':NegativeLogLikelihoodLoss',
  ':SoftmaxCrossEntropyLoss',
  ':If',
  ':Loop',
  ':Scan',
]);

const keyOf = ({ domain, type }: Pick<Operator, 'domain' | 'type'>): string => `${domain}:${type}`;
const OPERATORS = allOperators().filter((item) => item.device && !ELSEWHERE.has(keyOf(item)));
/** "domain:type" and "domain:type input" of all that some case differentiates by. */
const TESTED = new Set(
  CASES.filter(({ differentiable }) => differentiable).flatMap((item) =>
    item.inputs.flatMap((input, i) => (input?.varies ? [keyOf(item), `${keyOf(item)} ${i}`] : [])),
  ),
);

test('no operator with a gradient goes untested', () => {
  const untested = OPERATORS.filter(({ differentiability: { kind } }) => kind === 'full' || kind === 'inputs')
    .map(keyOf)
    .filter((key) => !TESTED.has(key));
  expect(untested).toEqual([]);
});

test('nor does an input that has a gradient where not all have', () => {
  const inputs = OPERATORS.flatMap((item) =>
    item.differentiability.kind === 'inputs' ? item.differentiability.inputs.map((i) => `${keyOf(item)} ${i}`) : [],
  );
  expect(inputs.filter((key) => !TESTED.has(key))).toEqual([]);
});
