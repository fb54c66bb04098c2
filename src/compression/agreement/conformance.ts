/**
 * ONNX's own backend tests, run in the training engine: every folder that holds `model.onnx` and `test_data_set_*` with
 * inputs and the outputs that the reference implementation gave.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isUnsupportedOperator, LatheError } from '../../errors.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { readTensor } from '../formats/onnx/read-tensor.ts';
import { MessageReader } from '../formats/onnx/wire.ts';
import { DRAWING } from '../graph/draws.ts';
import { walkNodes } from '../ir/edit.ts';
import { validateModel } from '../ir/validate.ts';
import { hostNumbers, isFloat, toHost } from '../ir/tensor-data.ts';
import type { DataType, Model } from '../ir/types.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { Value } from '../operators/operator.ts';
import { tf } from '../tensor/tf.ts';
import { difference, type Tolerance } from './compare.ts';
import { disputed } from './disputed-cases.ts';
import { lowerOrThrow } from '../network/lower.ts';
import type { Network } from '../network/network.ts';
import { findOtherValue } from './other-types.ts';
import { download, upload } from '../operators/transfer.ts';

export type Verdict =
  | { readonly kind: 'passed' }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'unsupported'; readonly reason: string };

export interface CaseResult {
  readonly name: string;
  readonly verdict: Verdict;
  /** Operator types in the model, domain first where it is not ONNX's own. */
  readonly operators: readonly string[];
}

/**
 * As ONNX's own runner compares; 16-bit floats to two units in the last place, as it does for bfloat16: the reference
 * rounds after each operator, the engine computes such graphs in float32. Integers and everything else must be equal.
 */
const TOLERANCE: Tolerance = { relative: 1e-3, absolute: 1e-5 };
const TOLERANCES: Partial<Record<DataType, Tolerance>> = {
  float16: { ...TOLERANCE, relative: 2 ** -9 },
  bfloat16: { ...TOLERANCE, relative: 2 ** -6 },
};

/** Folders of test cases at or below the given ones, in order. */
export function findCases(folders: readonly string[]): string[] {
  return folders.flatMap((folder) => {
    const files = readdirSync(folder, { withFileTypes: true, recursive: true });
    return files
      .filter((file) => file.name === 'model.onnx')
      .map((file) => file.parentPath ?? (file as unknown as { path: string }).path)
      .sort();
  });
}

/** Runs every data set of one case. Never throws: what goes wrong is the verdict. */
export function runCase(folder: string): CaseResult {
  const name = folder.slice(dirname(folder).length + 1);
  let operators: string[] = [];
  try {
    const model = readOnnx(readFileSync(join(folder, 'model.onnx')));
    operators = operatorsOf(model);
    validateModel(model);
    return { name, operators, verdict: runDataSets(folder, model) };
  } catch (error) {
    return { name, operators, verdict: verdictOf(error) };
  }
}

function verdictOf(error: unknown): Verdict {
  const reason = (error instanceof Error ? error.message : String(error)).split('\n', 1).join();
  if (isUnsupportedOperator(error) || (error instanceof LatheError && error.code === 'unsupported-format'))
    return { kind: 'unsupported', reason };
  return {
    kind: 'failed',
    reason: error instanceof Error && !(error instanceof LatheError) ? `${error.name}: ${reason}` : reason,
  };
}

function operatorsOf(model: Model): string[] {
  const types = new Set<string>();
  walkNodes(model.graph, ({ domain, opType }) => types.add(domain === '' ? opType : `${domain}.${opType}`));
  return [...types].sort();
}

function runDataSets(folder: string, model: Model): Verdict {
  const other = findOtherValue([...model.graph.inputs, ...model.graph.outputs], model.graph);
  if (other) return { kind: 'unsupported', reason: `${other.node}: ${other.reason}` };
  const noisy =
    operatorsOf(model).find((type) => DRAWING.has(type)) ??
    (dropsAtRandom(model, readFeeds(join(folder, 'test_data_set_0'), 'input')) ? 'Dropout' : undefined);
  if (noisy) return { kind: 'unsupported', reason: `the expected outputs of ${noisy} are another generator's noise` };
  const network = lowerOrThrow(model);
  try {
    for (let i = 0; existsSync(join(folder, `test_data_set_${i}`)); i++) {
      const data = join(folder, `test_data_set_${i}`);
      const feeds = readFeeds(data, 'input');
      const outputs = runOnHost(network, feeds);
      const expected = readFeeds(data, 'output');
      const wrong = compareAll(
        outputs,
        expected,
        network.outputs.map(({ name }) => name),
      );
      const dispute = wrong && disputed(basename(folder), expected);
      if (wrong) return dispute ? { kind: 'unsupported', reason: dispute } : { kind: 'failed', reason: wrong };
    }
    return { kind: 'passed' };
  } finally {
    network.dispose();
  }
}

function runOnHost(network: Network, feeds: readonly (HostTensor | null)[]): HostTensor[] {
  let results: HostTensor[] = [];
  tf.tidy(() => {
    const { outputs } = network.run(valuesOf(network.inputs, feeds), { training: false });
    results = network.outputs.flatMap(({ name }) => {
      const value = outputs.get(name);
      return value ? hostOf(value) : [];
    });
  });
  return results;
}

/** A Dropout that the file itself sets to training, unless it is fed a ratio of zero. */
function dropsAtRandom({ graph }: Model, feeds: readonly (HostTensor | null)[]): boolean {
  return graph.nodes.some(({ opType, inputs }) => {
    if (opType !== 'Dropout' || (inputs[2] ?? '') === '') return false;
    const ratio = feeds[graph.inputs.findIndex(({ name }) => name === inputs[1])];
    return !ratio || hostNumbers(ratio)[0] !== 0;
  });
}

/** Floats of up to 32 bits go to the device, all else stays exact: as when a service feeds an uploaded model. */
function valuesOf(
  inputs: readonly { readonly name: string }[],
  feeds: readonly (HostTensor | null)[],
): Map<string, Value> {
  const values = new Map<string, Value>();
  inputs.forEach(({ name }, i) => {
    const host = feeds[i];
    if (host)
      values.set(
        name,
        isFloat(host.dtype) && host.dtype !== 'float64'
          ? { kind: 'device', dtype: host.dtype, tensor: upload(host) }
          : { kind: 'host', value: host },
      );
  });
  return values;
}

function hostOf(value: Value): HostTensor {
  return value.kind === 'host' ? value.value : download(value.tensor, value.dtype);
}

function readFeeds(folder: string, kind: 'input' | 'output'): (HostTensor | null)[] {
  const feeds: (HostTensor | null)[] = [];
  for (let i = 0; existsSync(join(folder, `${kind}_${i}.pb`)); i++) {
    const file = readFileSync(join(folder, `${kind}_${i}.pb`));
    feeds.push(file.length === 0 ? null : toHost(readTensor(new MessageReader(file, () => `${kind}_${i}.pb`))));
  }
  return feeds;
}

function compareAll(
  outputs: readonly HostTensor[],
  expected: readonly (HostTensor | null)[],
  names: readonly string[],
): string | null {
  for (const [i, want] of expected.entries()) {
    const got = outputs[i];
    if (!want) continue;
    if (!got) return `output ${i} is missing`;
    const wrong = difference(got, want, TOLERANCES[want.dtype] ?? TOLERANCE);
    if (wrong) return `output "${names[i]}": ${wrong}`;
  }
  return null;
}
