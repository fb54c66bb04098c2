/**
 * Parses uploads in child processes under limits: the parser of an untrusted file never runs inside the API process.
 */
import type { DatasetDescription } from '../contracts/dataset.ts';
import type { ModelDescription } from '../contracts/model.ts';
import type { Inspector } from '../jobs/ports/inspector.ts';
import { LatheError } from '../errors.ts';
import { processEntry } from '../process/entry.ts';
import { runLimited, type ChildLimits, type ChildOutcome } from '../process/limited-child.ts';
import type { InspectionMessage } from './protocol.ts';

export interface InspectionLimits {
  /** Heap, ArrayBuffers and WASM memory of the parser. */
  readonly parseMemoryBytes: number;
  readonly parseSeconds: number;
  /** The check of a parsed model against onnxruntime loads the training engine: it needs more. */
  readonly checkMemoryBytes: number;
  readonly checkSeconds: number;
}

export const DEFAULT_INSPECTION_LIMITS: InspectionLimits = {
  parseMemoryBytes: 2 * 2 ** 30,
  parseSeconds: 30,
  checkMemoryBytes: 8 * 2 ** 30,
  checkSeconds: 120,
};

/** @param limits those given replace the defaults */
export function createInspector(limits: Partial<InspectionLimits> = {}): Inspector {
  const bounds = { ...DEFAULT_INSPECTION_LIMITS, ...limits };
  const parsing: ChildLimits = {
    memoryBytes: bounds.parseMemoryBytes,
    seconds: bounds.parseSeconds,
    maxOutputBytes: 64 * 2 ** 20,
  };
  const checking: ChildLimits = {
    memoryBytes: bounds.checkMemoryBytes,
    seconds: bounds.checkSeconds,
    maxOutputBytes: 64 * 2 ** 20,
  };
  return {
    async model(path) {
      const described = unwrap<ModelDescription>(
        await runLimited(processEntry('inspect-model'), [path], parsing),
        'model',
        parsing,
      );
      const checked = await runLimited(processEntry('check-model'), [path], checking);
      const { warnings = [], ...agreement } = agreementOf(checked);
      const known = new Set(described.warnings.map(({ code }) => code));
      return {
        ...described,
        ...agreement,
        warnings: [...described.warnings, ...warnings.filter(({ code }) => !known.has(code))],
      };
    },
    async dataset(path, options) {
      const outcome = await runLimited(processEntry('inspect-dataset'), [path, JSON.stringify(options)], parsing);
      return unwrap<DatasetDescription>(outcome, 'dataset', parsing);
    },
  };
}

type Agreement = Pick<ModelDescription, 'trainable' | 'untrainable'> & Partial<Pick<ModelDescription, 'warnings'>>;

/**
 * A check that cannot finish does not reject the file: the model is kept and marked as not trainable, with the reason.
 */
function agreementOf(outcome: ChildOutcome): Agreement {
  if (outcome.kind === 'answer') {
    const message = outcome.value as InspectionMessage<Agreement>;
    if ('result' in message) return message.result;
    return untrainable(message.error.message);
  }
  if (outcome.kind === 'timeout')
    return untrainable('the check of the training engine against onnxruntime took too long');
  if (outcome.kind === 'out-of-memory')
    return untrainable('the check of the training engine against onnxruntime ran out of memory');
  return untrainable(
    `the check of the training engine against onnxruntime ended without an answer (${outcome.reason.split('\n')[0]})`,
  );
}

function untrainable(reason: string): Agreement {
  return { trainable: false, untrainable: [{ node: '', operator: '', reason }] };
}

function unwrap<T>(outcome: ChildOutcome, kind: 'model' | 'dataset', limits: ChildLimits): T {
  const malformed = kind === 'model' ? 'malformed-model' : 'malformed-dataset';
  switch (outcome.kind) {
    case 'answer': {
      const message = outcome.value as InspectionMessage<T>;
      if ('result' in message) return message.result;
      throw new LatheError(message.error.code, message.error.message, message.error.errors);
    }
    case 'timeout':
      throw new LatheError(malformed, `Reading the ${kind} took longer than ${limits.seconds} s`, [
        { path: 'file', message: `not parsed after ${limits.seconds} s` },
      ]);
    case 'out-of-memory':
      throw new LatheError(
        'too-large',
        `Reading the ${kind} needed more than ${Math.round(limits.memoryBytes / 2 ** 20)} MiB of memory`,
        [{ path: 'file', message: 'expands beyond the memory limit of the parser' }],
      );
    case 'failed':
      throw new Error(`The parser of the ${kind} did not answer (${outcome.reason})`);
    case 'crashed':
      throw new LatheError(malformed, `The parser crashed on this ${kind} (${outcome.reason})`, [
        { path: 'file', message: 'the parser process crashed' },
      ]);
  }
}
