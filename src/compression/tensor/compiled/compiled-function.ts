/** A program as a function inside TensorFlow: run as one operation on the handles of inputs and variables. */
import { tensorflow } from '../native/binding.ts';
import type { OpAttribute, TensorflowBackend, TensorMetadata } from '../native/binding.ts';
import type { TfTensor, TfVariable } from '../tf.ts';
import { tf } from '../tf.ts';
import { writeFunctionDef } from './function-def.ts';
import { fuseProgram } from './fuse.ts';
import { joinUpdates } from './join-updates.ts';
import { argumentsOf } from './program.ts';
import type { Program, Reference } from './program.ts';
import { handleOf } from './run-and-record.ts';

export interface CompiledFunction {
  run(inputs: readonly TfTensor[]): TfTensor[];
  dispose(): void;
}

let count = 0;

/**
 * @param results those of a recorded run: shapes and dtypes
 * @throws Error where TensorFlow refuses the function
 */
export function compileProgram(
  recorded: Program,
  inputs: readonly TfTensor[],
  variables: ReadonlyMap<Reference, TfVariable>,
  results: readonly TfTensor[],
): CompiledFunction {
  const backend = tensorflow();
  const program = joinUpdates(fuseProgram(recorded));
  const outside = holdOutside(backend, program);
  const handles = argumentsOf(program).map((reference) => handleSource(backend, reference, variables, outside));
  const name = `lathe_step_${process.pid}_${count++}`;
  const dtypes = new Map(
    argumentsOf(program).map((reference) => [reference, argumentDtype(backend, reference, inputs, variables, outside)]),
  );
  backend.binding.addFunction(writeFunctionDef(name, program, backend.binding, (reference) => dtypes.get(reference)!));
  const forms = results.map(({ shape, dtype }) => ({ shape, dtype }));
  const updated = [...program.updates.keys()].map((reference) => variables.get(reference)!);
  const execute = executorOf(backend, name, forms.length + updated.length);
  return {
    run(given) {
      const outputs = execute(handles.map((handle) => handle(given)));
      updated.forEach((variable, index) => replaceValue(backend, variable, outputs[forms.length + index]!));
      return forms.map(({ shape, dtype }, index) => wrap(backend, outputs[index]!, shape, dtype));
    },
    dispose() {
      backend.binding.removeFunction(name);
      for (const { id } of outside.values()) backend.binding.deleteTensor(id);
    },
  };
}

type Execute = (inputs: readonly number[]) => TensorMetadata[];

/**
 * Calls the function. On CPUs its operations run one after another, each on all cores: TensorFlow's default executor
 * hands them to threads of its own, which then fight over the cores and wait to be woken. A function that the
 * sequential executor refuses (before it runs anything) has the default one.
 */
function executorOf({ binding, isUsingGpuDevice }: TensorflowBackend, name: string, outputs: number): Execute {
  const sequential = [{ name: 'executor_type', type: binding.TF_ATTR_STRING, value: 'SINGLE_THREADED_EXECUTOR' }];
  let attributes: readonly OpAttribute[] = isUsingGpuDevice ? [] : sequential;
  return (inputs) => {
    try {
      return binding.executeOp(name, attributes, inputs, outputs);
    } catch (error) {
      if (!/single-threaded executor/i.test(String(error))) throw error;
      attributes = [];
      return binding.executeOp(name, attributes, inputs, outputs);
    }
  };
}

/** Tensors from outside may be disposed by their owner; a second handle keeps their values. */
function holdOutside(backend: TensorflowBackend, program: Program): Map<Reference, TensorMetadata> {
  const references = argumentsOf(program).filter((reference) => reference.startsWith('x'));
  return new Map(
    references.map((reference) => [
      reference,
      backend.binding.executeOp('Identity', [], [Number(reference.slice(1))], 1)[0]!,
    ]),
  );
}

function handleSource(
  backend: TensorflowBackend,
  reference: Reference,
  variables: ReadonlyMap<Reference, TfVariable>,
  outside: ReadonlyMap<Reference, TensorMetadata>,
): (inputs: readonly TfTensor[]) => number {
  const held = outside.get(reference);
  if (held) return () => held.id;
  const variable = variables.get(reference);
  if (variable) return () => handleOf(backend, variable);
  const index = Number(reference.slice(1));
  return (inputs) => handleOf(backend, inputs[index]!);
}

function argumentDtype(
  backend: TensorflowBackend,
  reference: Reference,
  inputs: readonly TfTensor[],
  variables: ReadonlyMap<Reference, TfVariable>,
  outside: ReadonlyMap<Reference, TensorMetadata>,
): number {
  const held = outside.get(reference);
  if (held) return held.dtype;
  const tensor = variables.get(reference) ?? inputs[Number(reference.slice(1))]!;
  return backend.tensorMap.get(tensor.dataId).dtype;
}

/**
 * tfjs's own path (making, assigning and disposing a tensor) takes 10 us for each variable; a value that nothing shares
 * has its handle exchanged instead.
 */
function replaceValue(backend: TensorflowBackend, variable: TfVariable, output: TensorMetadata): void {
  const data = backend.tensorMap.get(variable.dataId);
  if (data.refCount === 1) {
    if (data.id >= 0 && data.values === null) backend.binding.deleteTensor(data.id);
    data.id = output.id;
    data.values = null;
    return;
  }
  const value = backend.createOutputTensor(output);
  variable.assign(value);
  value.dispose();
}

/** A result with the shape and dtype that the eager run gave it. */
function wrap(
  backend: TensorflowBackend,
  { id, dtype: type }: TensorMetadata,
  shape: readonly number[],
  dtype: TfTensor['dtype'],
): TfTensor {
  const dataId = {};
  backend.tensorMap.set(dataId, { shape: [...shape], dtype: type, id, values: null, refCount: 1 });
  return tf.engine().makeTensorFromTensorInfo({ dataId, shape: [...shape], dtype });
}
