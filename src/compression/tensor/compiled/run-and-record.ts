/** One eager run of a step, recorded. */
import { tensorflow } from '../native/binding.ts';
import type { TensorflowBackend } from '../native/binding.ts';
import { tf } from '../tf.ts';
import type { TfTensor, TfVariable } from '../tf.ts';
import { toProgram } from './program.ts';
import type { Program, Reference } from './program.ts';
import { record } from './recorder.ts';

export interface RecordedRun {
  readonly results: TfTensor[];
  readonly program: Program;
  /** The variables, by reference. */
  readonly variables: ReadonlyMap<Reference, TfVariable>;
  /** What makes the step impossible to compile; null where nothing does. */
  readonly obstacle: string | null;
}

export function runAndRecord(
  step: (inputs: TfTensor[]) => TfTensor[],
  inputs: readonly TfTensor[],
  listed: readonly TfVariable[],
): RecordedRun {
  const backend = tensorflow();
  const variables = nameVariables(listed);
  const before = handlesOf(backend, variables);
  const known = new Map([...before].map(([reference, id]) => [id, reference]));
  let run: Omit<RecordedRun, 'results'> | undefined;
  const results = tf.tidy(() => {
    const given = inputs.map((input, index) => withOwnHandle(backend, input, `i${index}`, known));
    const { result, recording } = record(backend, () => {
      const tensors = step(given);
      return { tensors, ids: tensors.map((tensor) => handleOf(backend, tensor)), after: handlesOf(backend, variables) };
    });
    const updates = new Map([...result.after].filter(([reference, id]) => before.get(reference) !== id));
    const obstacle = recording.readsValues ? 'the step reads the values of a tensor while it runs' : null;
    run = { program: toProgram(recording, known, result.ids, updates), variables, obstacle };
    return result.tensors;
  });
  return { results, ...run! };
}

/**
 * Those listed, and all others that exist: a step that reads an unlisted one must not take its present value for a
 * constant.
 */
function nameVariables(listed: readonly TfVariable[]): Map<Reference, TfVariable> {
  const all = new Set(
    [...listed, ...Object.values(tf.engine().registeredVariables)].filter((variable) => !variable.isDisposed),
  );
  return new Map([...all].map((variable, index) => [`v${index}`, variable]));
}

/** TensorFlow's handle of a tensor; values that JavaScript still holds are uploaded first. */
export function handleOf(backend: TensorflowBackend, tensor: TfTensor): number {
  return backend.getInputTensorIds([tensor])[0]!;
}

function handlesOf(backend: TensorflowBackend, variables: ReadonlyMap<Reference, TfVariable>): Map<Reference, number> {
  const living = [...variables].filter(([, variable]) => !variable.isDisposed);
  return new Map(living.map(([reference, variable]) => [reference, handleOf(backend, variable)]));
}

/** Two inputs may share a handle in this run and not in the next: each gets its own while recording. */
function withOwnHandle(
  backend: TensorflowBackend,
  input: TfTensor,
  reference: Reference,
  known: Map<number, Reference>,
): TfTensor {
  const id = handleOf(backend, input);
  const own = known.has(id)
    ? backend.createOutputTensor(backend.binding.executeOp('Identity', [], [id], 1)[0]!)
    : input;
  known.set(handleOf(backend, own), reference);
  return own;
}
