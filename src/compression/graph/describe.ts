/** Describes a model for the API from its graph, without running it. */
import type { ModelDescription, ModelFormat, ModelInput, TensorDescription } from '../../contracts/model.ts';
import { expandCodebooks } from './codebooks.ts';
import { constantTensor } from '../ir/constants.ts';
import { outputName } from '../ir/checked-access.ts';
import { subgraphs, walkNodes } from '../ir/edit.ts';
import { inferShapes, type TypeTable } from './infer.ts';
import { refuseEndlessLoops } from './endless-loops.ts';
import { indexBounds } from './index-bounds.ts';
import { nanWarnings } from './nan-weights.ts';
import { inlineFunctions } from './passes/inline-functions.ts';
import { BITS, elementCount, isFloat } from '../ir/tensor-data.ts';
import { countWeights, holdsWeight } from './weights.ts';
import type { Dim, Graph, Model, Node, Tensor, TensorType, ValueInfo } from '../ir/types.ts';

/**
 * Describes a validated model. `trainable` is true here; the caller corrects it after running the model (agreement/).
 * @throws LatheError `malformed-model` where shapes contradict each other.
 */
export function describeModel(model: Model, format: ModelFormat): ModelDescription {
  const whole = inlineFunctions(model);
  const clustered = new Map<string, number>();
  const dense = expandCodebooks(whole.graph, ({ gather, codebook }) => {
    clustered.set(outputName(gather), elementCount(codebook.dims));
    return true;
  });
  const table = inferShapes(whole);
  refuseEndlessLoops(whole.graph, table);
  return {
    format,
    parameters: countParameters(dense),
    macs: countMacs(whole),
    inputs: describeInputs(model),
    outputs: model.graph.outputs.map((output) => describeValue(output, table.typeOf(output.name) ?? output.type)),
    opset: model.opsets.get('') ?? 0,
    operators: countOperators(whole.graph),
    trainable: true,
    untrainable: [],
    warnings: [
      ...quantizationWarnings(dense),
      ...(dense === whole.graph ? [] : clusterWarnings(clustered)),
      ...contradictionWarnings(table),
      ...nanWarnings(weights(whole.graph)),
    ],
  };
}

/** Inputs a caller must feed: up to IR version 3, files list initializers among the inputs. */
export function modelInputs(graph: Graph): ValueInfo[] {
  return graph.inputs.filter(({ name }) => !graph.initializers.has(name));
}

function describeInputs(model: Model): ModelInput[] {
  const rows = indexBounds(model, 'all');
  return modelInputs(model.graph).map((input) => {
    const tableRows = rows.get(input.name);
    return { ...describeValue(input, input.type), ...(tableRows !== undefined && { tableRows }) };
  });
}

function describeValue(value: ValueInfo, type: TensorType | null): TensorDescription {
  return {
    name: value.name,
    dtype: type?.dtype ?? 'undefined',
    shape: (type?.shape ?? []).map((dim) => (typeof dim === 'number' ? dim : null)),
  };
}

/** Elements of all weights; weights.ts tells weights from settings, scales and shapes. */
export function countParameters(graph: Graph): number {
  return countWeights(graph).parameters;
}

/** Constants whose element type a weight may have. */
export function weights(graph: Graph): Tensor[] {
  const others = settings(graph);
  const found: Tensor[] = [];
  const add = (tensor: Tensor): void => {
    if (isWeightType(tensor) && !others.has(tensor.name)) found.push(tensor);
  };
  const visit = (inner: Graph): void => {
    for (const tensor of inner.initializers.values()) add(tensor);
    for (const node of inner.nodes) {
      const tensor = constantTensor(node);
      if (tensor) add(tensor);
      for (const { graph: deeper } of subgraphs(node)) visit(deeper);
    }
  };
  visit(graph);
  return found;
}

function isWeightType({ dtype }: Tensor): boolean {
  return isFloat(dtype) || (BITS[dtype] > 0 && BITS[dtype] <= 8 && dtype !== 'bool');
}

/** Scales, zero points and settings. */
function settings(graph: Graph): Set<string> {
  const names = new Set<string>();
  walkNodes(graph, (node) =>
    node.inputs.forEach((name, input) => {
      if (!holdsWeight(node, input)) names.add(name);
    }),
  );
  return names;
}

/**
 * Multiply-accumulates of one run on inputs of these shapes. Without shapes, of one sample: an open first dimension
 * counts as 1. Null where other shapes are unknown.
 */
export function countMacs(model: Model, shapes: ReadonlyMap<string, readonly number[]> = new Map()): number | null {
  const inputShapes = new Map<string, readonly Dim[]>();
  const bindings = new Map<string, number>();
  for (const { name, type } of modelInputs(model.graph)) {
    if (!type?.shape) continue;
    const shape = shapes.get(name) ?? oneSample(type.shape);
    inputShapes.set(name, shape);
    for (const [axis, symbol] of type.shape.entries()) {
      const size = shape[axis];
      if (typeof symbol === 'string' && typeof size === 'number') bindings.set(symbol, size);
    }
  }
  return graphMacs(model.graph, inferShapes(model, { inputShapes, bindings }));
}

function oneSample(shape: readonly Dim[]): readonly Dim[] {
  return shape.map((dim, axis) => (axis === 0 && typeof dim !== 'number' ? 1 : dim));
}

/** An If counts as its costlier branch, a loop as one iteration of its body. */
function graphMacs(graph: Graph, table: TypeTable): number | null {
  let total = 0;
  for (const node of graph.nodes) {
    const macs = nodeMacs(node, table);
    if (macs === null) return null;
    total += macs;
  }
  return total;
}

function nodeMacs(node: Node, table: TypeTable): number | null {
  let inner = 0;
  for (const { graph } of subgraphs(node)) {
    const scope = table.subgraph(graph);
    const macs = scope ? graphMacs(graph, scope) : null;
    if (macs === null) return null;
    inner = Math.max(inner, macs);
  }
  const operator = table.operator(node);
  if (!operator) return KNOWN_COST_FREE.has(node.domain) ? inner : null;
  if (!operator.macs) return inner;
  const types = node.inputs.map((name) => (name === '' ? null : table.typeOf(name)));
  const outputs = node.outputs.map((name) => (name === '' ? null : table.typeOf(name)));
  const names = [...node.inputs, ...node.outputs];
  if (![...types, ...outputs].every((type, i) => names[i] === '' || hasFixedShape(type))) return null;
  const known = outputs.map((type): TensorType => type ?? { dtype: 'undefined', shape: null });
  return inner + operator.macs(table.info(node), known);
}

function hasFixedShape(type: TensorType | null): boolean {
  return type?.shape?.every((dim) => typeof dim === 'number') ?? false;
}

/** Domains whose unknown operators cost next to nothing: pre- and post-processing of classical machine learning. */
const KNOWN_COST_FREE: ReadonlySet<string> = new Set(['ai.onnx.ml']);

function countOperators(graph: Graph): Record<string, number> {
  const counts = new Map<string, number>();
  walkNodes(graph, ({ domain, opType }) => {
    const key = domain === '' ? opType : `${domain}.${opType}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  });
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const QUANTIZED =
  /^((Q|Deq)uantizeLinear|DynamicQuantize.*|(Conv|MatMul)Integer|MatMul(NBits|Bnb4)|Q(Linear.*|Attention|Gemm))$/;

/** `already-quantized`, with the operators and types of fewer than `bits` bits found, and the first place of each. */
export function quantizationWarnings(graph: Graph, bits = 32): ModelDescription['warnings'] {
  const found = new Map<string, { count: number; first: string }>();
  walkNodes(graph, (node) => {
    if (!QUANTIZED.test(node.opType)) return;
    const entry = found.get(node.opType) ?? { count: 0, first: node.name || node.outputs[0] || '' };
    found.set(node.opType, { ...entry, count: entry.count + 1 });
  });
  const warnings = [...found].map(([opType, { count, first }]) => `${count} ${opType} (first at "${first}")`);
  const small = weights(expandCodebooks(graph)).filter(({ dtype }) => BITS[dtype] < bits);
  const [firstSmall] = small;
  if (firstSmall)
    warnings.push(
      `${small.length} weights of type ${[...new Set(small.map(({ dtype }) => dtype))].join(' and ')} (first ` +
        `"${firstSmall.name}")`,
    );
  return warnings.length === 0
    ? []
    : [{ code: 'already-quantized', message: `The model is quantized already: ${warnings.join(', ')}` }];
}

/**
 * `already-clustered`, with the number of clustered weights and the first of them.
 * @param clustered the size of each weight's codebook
 */
function clusterWarnings(clustered: ReadonlyMap<string, number>): ModelDescription['warnings'] {
  const [first] = clustered.keys();
  return [
    {
      code: 'already-clustered',
      message:
        `The model is clustered already: ${clustered.size} weight(s) of at most ` +
        `${Math.max(...clustered.values())} different values (first "${first}")`,
    },
  ];
}

function contradictionWarnings(table: TypeTable): ModelDescription['warnings'] {
  if (table.contradictions.length === 0) return [];
  const more = table.contradictions.length > 1 ? ` (and ${table.contradictions.length - 1} more)` : '';
  return [
    {
      code: 'declared-shape-differs',
      message: `The file declares a shape that its operators contradict: ${table.contradictions[0]}${more}`,
    },
  ];
}
