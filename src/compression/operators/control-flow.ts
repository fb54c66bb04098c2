/** If, Loop and Scan with conditions known only at run time: the engine runs their bodies round by round. */
import { nth } from '../ir/checked-access.ts';
import { LatheError } from '../../errors.ts';
import { GraphError } from '../ir/graph-error.ts';
import { allocate, int64Host, toNumber } from '../ir/tensor-data.ts';
import type { DataType, Graph, TensorType } from '../ir/types.ts';
import type { Inferred, NodeInfo } from '../ir/node-info.ts';
import type { Operator, RunContext, Value } from './operator.ts';
import { resolveAxis } from './shapes.ts';
import { dimsOf, sliceValue, stackValues } from './values.ts';

const UNKNOWN: TensorType = { dtype: 'undefined', shape: null };

export function bodyOf(info: NodeInfo, name: string): Graph {
  const attribute = info.attribute(name);
  if (attribute?.kind !== 'graph') throw new GraphError(`the body "${name}" is missing`);
  return attribute.value;
}

/** The input as it is, host or device. */
function valueOf(ctx: RunContext, input: number): Value {
  const name = ctx.node.inputs[input];
  const host = ctx.constant(input);
  if (name === undefined || name === '') throw new GraphError(`input ${input} is missing`);
  return host ? { kind: 'host', value: host } : { kind: 'device', dtype: ctx.dtype(input), tensor: ctx.tensor(input) };
}

/** What two possible types have in common. */
function common(a: TensorType | null, b: TensorType | null): TensorType {
  if (!a || !b || a.dtype !== b.dtype) return a && b ? UNKNOWN : (a ?? b ?? UNKNOWN);
  if (!a.shape || !b.shape || a.shape.length !== b.shape.length) return { dtype: a.dtype, shape: null };
  const other = b.shape;
  return { dtype: a.dtype, shape: a.shape.map((dim, i) => (dim === other[i] ? dim : null)) };
}

function inferIf(info: NodeInfo): Inferred[] {
  const typesOf = (name: string): (TensorType | null)[] => info.subgraphTypes?.(bodyOf(info, name), []) ?? [];
  const [yes, no] = [typesOf('then_branch'), typesOf('else_branch')];
  return info.node.outputs.map((_, i) => common(yes[i] ?? null, no[i] ?? null));
}

function runIf(ctx: RunContext): Value[] {
  return ctx.subgraph(bodyOf(ctx, truth(ctx.host(0)) ? 'then_branch' : 'else_branch'), new Map());
}

function truth(host: { readonly data: ArrayLike<unknown> }): boolean {
  return Number(host.data[0]) !== 0;
}

function sameType(a: TensorType, b: TensorType): boolean {
  return (
    a.dtype === b.dtype &&
    a.shape?.length === b.shape?.length &&
    (a.shape ?? []).every((dim, i) => dim === b.shape?.[i])
  );
}

interface Carried {
  readonly body: Graph;
  readonly initial: readonly (TensorType | null)[];
  readonly inputs: (carried: readonly (TensorType | null)[]) => (TensorType | null)[];
  readonly first: number;
}

/** Types that carried values have in every round: a dimension that differs between rounds is open. */
function carriedTypes(
  info: NodeInfo,
  { body, initial, inputs, first }: Carried,
): { carried: TensorType[]; outputs: (TensorType | null)[] } {
  let carried = initial.map((type) => type ?? UNKNOWN);
  let outputs: (TensorType | null)[] = [];
  for (let round = 0; round < 2; round++) {
    outputs = info.subgraphTypes?.(body, inputs(carried)) ?? [];
    const met = carried.map((type, i) => common(type, outputs[first + i] ?? null));
    // otherwise each level of nested loops would double the cost
    if (met.every((type, i) => sameType(type, carried[i]!))) break;
    carried = met;
  }
  return { carried, outputs };
}

const INDEX: TensorType = { dtype: 'int64', shape: [] };
const CONDITION: TensorType = { dtype: 'bool', shape: [] };

function inferLoop(info: NodeInfo): Inferred[] {
  const body = bodyOf(info, 'body');
  const { carried, outputs } = carriedTypes(info, {
    body,
    initial: info.types.slice(2),
    inputs: (types) => [INDEX, CONDITION, ...types],
    first: 1,
  });
  const scans = outputs
    .slice(1 + carried.length)
    .map(
      (type): TensorType => ({ dtype: type?.dtype ?? 'undefined', shape: type?.shape ? [null, ...type.shape] : null }),
    );
  return [...carried, ...scans];
}

/**
 * Runs rounds until the count is reached or the condition fails, and stacks the values of all rounds along a new first
 * axis.
 */
function runLoop(ctx: RunContext): Value[] {
  const body = bodyOf(ctx, 'body');
  const maxRounds = ctx.has(0) ? toNumber(ctx.host(0).data[0] as bigint) : Infinity;
  let going = ctx.has(1) ? truth(ctx.host(1)) : true;
  let carried = ctx.node.inputs.slice(2).map((_, i) => valueOf(ctx, i + 2));
  const count = carried.length;
  const scans: Value[][] = body.outputs.slice(1 + count).map(() => []);
  const watch = ctx.loopWatch();
  for (let round = 0; round < maxRounds && going; round++) {
    watch();
    const feeds = [scalar('int64', round), scalar('bool', 1), ...carried];
    const results = ctx.subgraph(body, new Map(body.inputs.map(({ name }, i) => [name, feeds[i]!])));
    going = truth(exact(results[0]!));
    carried = results.slice(1, 1 + count);
    results.slice(1 + count).forEach((value, i) => scans[i]!.push(value));
  }
  return [
    ...carried,
    ...scans.map((values, i) => (values.length > 0 ? stackValues(values, 0) : emptyStack(ctx, count + i))),
  ];
}

/** The stack of no values; its other sizes come from shape inference. */
function emptyStack(ctx: RunContext, output: number): Value {
  const type = ctx.node.opType === 'Loop' ? inferLoop(ctx)[output] : inferScan(ctx)[output];
  if (!type?.shape || type.dtype === 'undefined')
    throw new LatheError('unsupported-operator', `output ${output} of a loop without rounds has no known type`);
  return {
    kind: 'host',
    value: {
      dtype: type.dtype,
      dims: type.shape.map((dim) => (typeof dim === 'number' ? dim : 0)),
      data: allocate(type.dtype, 0),
    },
  };
}

function scalar(dtype: DataType, value: number): Value {
  return {
    kind: 'host',
    value: { dtype, dims: [], data: dtype === 'bool' ? Uint8Array.of(value) : int64Host([value]).data },
  };
}

/** Reads a condition, and waits for one that a body computed on the device. */
function exact(value: Value): { readonly data: ArrayLike<unknown> } {
  return value.kind === 'host' ? value.value : { data: value.tensor.dataSync() };
}

interface ScanPlan {
  readonly body: Graph;
  /** Numbers of states, of scanned inputs and of scanned outputs; index of the first state among the inputs. */
  readonly states: number;
  readonly scanned: number;
  readonly first: number;
  readonly inputAxes: readonly number[];
  readonly outputAxes: readonly number[];
  readonly inputBackwards: readonly boolean[];
  readonly outputBackwards: readonly boolean[];
}

function planScan(info: NodeInfo): ScanPlan {
  const body = bodyOf(info, 'body');
  const scanned = info.int('num_scan_inputs', 0);
  const first = info.opset < 9 ? 1 : 0;
  const states = info.node.inputs.length - first - scanned;
  if (scanned < 1 || states < 0)
    throw new GraphError(`num_scan_inputs ${scanned} does not fit ${info.node.inputs.length} inputs`);
  const outputs = body.outputs.length - states;
  const flags = (name: string, length: number): boolean[] =>
    Array.from({ length }, (_, i) => info.ints(name)?.[i] === 1);
  const axes = (name: string, length: number): number[] => Array.from({ length }, (_, i) => info.ints(name)?.[i] ?? 0);
  return {
    body,
    states,
    scanned,
    first,
    inputAxes: axes('scan_input_axes', scanned),
    outputAxes: axes('scan_output_axes', outputs),
    inputBackwards: flags(info.opset < 9 ? 'directions' : 'scan_input_directions', scanned),
    outputBackwards: flags('scan_output_directions', outputs),
  };
}

function inferScan(info: NodeInfo): Inferred[] {
  const plan = planScan(info);
  if (info.opset < 9) return info.node.outputs.map(() => UNKNOWN);
  const { states, inputAxes, outputAxes } = plan;
  const scans = info.types.slice(states);
  const elements = scans.map(
    (type, i): TensorType | null =>
      type && {
        dtype: type.dtype,
        shape:
          type.shape && type.shape.filter((_, axis, { length }) => axis !== resolveAxis(nth(inputAxes, i), length)),
      },
  );
  const steps =
    scans
      .map((type, i) => type?.shape?.[resolveAxis(nth(inputAxes, i), type.shape.length)] ?? null)
      .find((dim) => dim !== null) ?? null;
  const { carried, outputs } = carriedTypes(info, {
    body: plan.body,
    initial: info.types.slice(0, states),
    inputs: (types) => [...types, ...elements],
    first: 0,
  });
  return [
    ...carried,
    ...outputs.slice(states).map((type, i): TensorType => {
      if (!type?.shape) return { dtype: type?.dtype ?? 'undefined', shape: null };
      const shape = [...type.shape];
      shape.splice(resolveAxis(nth(outputAxes, i), shape.length + 1), 0, steps);
      return { dtype: type.dtype, shape };
    }),
  ];
}

function runScan(ctx: RunContext): Value[] {
  const plan = planScan(ctx);
  const inputs = ctx.node.inputs.slice(plan.first).map((_, i) => valueOf(ctx, i + plan.first));
  return ctx.opset < 9 ? scanBatches(ctx, plan, inputs) : scan(ctx, plan, inputs);
}

function scan(ctx: RunContext, plan: ScanPlan, inputs: readonly Value[]): Value[] {
  const { body, states } = plan;
  const scanned = inputs.slice(states);
  const axes = scanned.map((value, i) => resolveAxis(nth(plan.inputAxes, i), dimsOf(value).length));
  const steps = nth(dimsOf(nth(scanned, 0)), nth(axes, 0));
  let carried = inputs.slice(0, states);
  const scans: Value[][] = plan.outputAxes.map(() => []);
  const watch = ctx.loopWatch();
  for (let step = 0; step < steps; step++) {
    watch();
    const elements = scanned.map((value, i) =>
      sliceValue(value, axes[i]!, plan.inputBackwards[i] ? steps - 1 - step : step),
    );
    const feeds = [...carried, ...elements];
    const results = ctx.subgraph(body, new Map(body.inputs.map(({ name }, i) => [name, feeds[i]!])));
    carried = results.slice(0, states);
    results.slice(states).forEach((value, i) => scans[i]![plan.outputBackwards[i] ? 'unshift' : 'push'](value));
  }
  return [
    ...carried,
    ...scans.map((values, i) =>
      values.length > 0
        ? stackValues(values, resolveAxis(nth(plan.outputAxes, i), dimsOf(nth(values, 0)).length + 1))
        : emptyStack(ctx, states + i),
    ),
  ];
}

/** Opset 8: every value has a batch axis before all others, and each sample is scanned by itself. */
function scanBatches(ctx: RunContext, plan: ScanPlan, inputs: readonly Value[]): Value[] {
  if (ctx.has(0)) throw new LatheError('unsupported-operator', 'sequence_lens of Scan at opset 8 are not supported');
  const batch = nth(dimsOf(nth(inputs, 0)), 0);
  const samples = Array.from({ length: batch }, (_, i) =>
    scan(
      ctx,
      plan,
      inputs.map((value) => sliceValue(value, 0, i)),
    ),
  );
  return nth(samples, 0).map((_, output) =>
    stackValues(
      samples.map((results) => nth(results, output)),
      0,
    ),
  );
}

const shared = { domain: '', since: 1, layout: { kind: 'onnx' }, differentiability: { kind: 'full' } } as const;

export const controlFlowOperators: readonly Operator[] = [
  { ...shared, type: 'If', infer: inferIf, device: runIf },
  { ...shared, type: 'Loop', infer: inferLoop, device: runLoop },
  { ...shared, type: 'Scan', since: 8, infer: inferScan, device: runScan },
];
