/**
 * Small sound models with one to three things wrong each, from a seed: read, described and lowered, or refused with an
 * error of the catalogue that names the place; nothing that onnxruntime runs is refused.
 */
import seedrandom from 'seedrandom';
import { beforeAll, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { readModel } from '../../../src/compression/formats/read-model.ts';
import { describeModel } from '../../../src/compression/graph/describe.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { randomInputs } from '../../../src/compression/measure/random-inputs.ts';
import { openRuntime } from '../../../src/compression/measure/session.ts';
import { lowerModel } from '../../../src/compression/network/lower.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { LatheError, type ErrorCode } from '../../../src/errors.ts';
import { damaged, type Random } from '../../support/mutations.ts';
import { constant, modelOfCase, type OperatorCase } from '../../support/operator-cases/case.ts';
import { contractionCases } from '../../support/operator-cases/contractions.ts';
import { elementwiseCases } from '../../support/operator-cases/elementwise.ts';
import { indexingCases } from '../../support/operator-cases/indexing.ts';
import { integerContribCases } from '../../support/operator-cases/integer-contrib.ts';
import { movementCases } from '../../support/operator-cases/movement.ts';
import { networkCases } from '../../support/operator-cases/networks.ts';
import { quantizationCases } from '../../support/operator-cases/quantization.ts';
import { reductionCases } from '../../support/operator-cases/reductions.ts';

const CASES: readonly OperatorCase[] = [
  ...elementwiseCases,
  ...reductionCases,
  ...movementCases,
  ...indexingCases,
  ...quantizationCases,
  ...contractionCases,
  ...integerContribCases,
  ...networkCases,
];
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'malformed-model',
  'unsupported-operator',
  'unsupported-format',
  'too-large',
  'shape-mismatch',
]);
/** Processor time of one model, ms. */
const MAX_MS = 2000;

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

interface Damaged {
  readonly label: string;
  readonly model: Model;
  readonly bytes: Uint8Array;
}

/** `rounds` damaged models of every operator case. */
function* models(seed: string, rounds: number): Generator<Damaged> {
  for (const item of CASES) {
    for (let round = 0; round < rounds; round++) {
      const random = seedrandom(`${seed} ${item.type} ${item.note} ${round}`);
      const { model, what } = damaged(modelOfCase(random() < 0.5 ? someConstant(item, random) : item), random);
      yield {
        label: `${item.type} ${item.note} #${round}: ${what}`,
        model,
        bytes: random() < 0.2 ? flipped(writeOnnx(model), random) : writeOnnx(model),
      };
    }
  }
}

function someConstant(item: OperatorCase, random: Random): OperatorCase {
  return { ...item, inputs: item.inputs.map((input) => (input && random() < 0.6 ? constant(input) : input)) };
}

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (let i = 0; i < 3; i++) copy[Math.floor(random() * copy.length)] = Math.floor(random() * 256);
  return copy;
}

/** The error of looking at the file; null where all goes well. */
async function refusal(bytes: Uint8Array): Promise<unknown> {
  try {
    const { model } = await readModel(bytes);
    describeModel(model, 'onnx');
    const lowered = lowerModel(model);
    if (lowered.ok) lowered.network.dispose();
    return null;
  } catch (error) {
    return error;
  }
}

test('only errors of the catalogue, each in time', async () => {
  const strange: string[] = [];
  let refused = 0;
  for (const { label, bytes } of models('strange', 4)) {
    const started = process.cpuUsage();
    const error = await refusal(bytes);
    const { user, system } = process.cpuUsage(started);
    if ((user + system) / 1000 > MAX_MS) strange.push(`${label}: took ${(user + system) / 1000} ms`);
    if (error === null) continue;
    refused++;
    const planned = error instanceof LatheError && REFUSALS.has(error.code);
    if (!planned) strange.push(`${label}: ${String(error)}`);
    else if (error.errors.length === 0) strange.push(`${label}: no place in "${error.message}"`);
  }
  expect(strange).toEqual([]);
  expect(refused).toBeGreaterThan(CASES.length); // the damage is felt
});

test('what is refused does not run in onnxruntime either', async () => {
  const wrong: string[] = [];
  for (const { label, model, bytes } of models('1', 1)) {
    const huge = model.graph.inputs.some(({ type }) =>
      type?.shape?.some((dim) => typeof dim === 'number' && dim > 1000),
    );
    const error = huge ? null : await refusal(bytes);
    if (error !== null && (await runs(model, bytes))) wrong.push(`${label}: ${String(error)}`);
  }
  expect(wrong).toEqual([]);
});

async function runs(model: Model, bytes: Uint8Array): Promise<boolean> {
  const runtime = await openRuntime(bytes).catch(() => null);
  if (!runtime) return false;
  const ran = await randomInputs(model, runtime, 1).then(
    () => true,
    () => false,
  );
  await runtime.release();
  return ran;
}
