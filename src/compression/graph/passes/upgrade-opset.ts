/**
 * Raises a model to a newer opset of ONNX's own domain. Most operators mean the same in every version; for those whose
 * form changed, the table below rewrites a node one version at a time (https://onnx.ai/onnx/operators, "Changelog").
 */
import { LatheError } from '../../../errors.ts';
import { inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, makeNode, mapSubgraphs, removeUnusedInitializers, withInitializers } from '../../ir/edit.ts';
import { nodeLabel } from '../../ir/graph-error.ts';
import { inferShapes, type TypeTable } from '../infer.ts';
import { fromHost, hostOf } from '../../ir/tensor-data.ts';
import type { Attribute, DataType, Graph, Model, Node, Tensor, TensorType } from '../../ir/types.ts';
import { inlineFunctions } from './inline-functions.ts';

/** Least IR version by opset (onnx/helper.py, VERSION_TABLE). */
const IR_VERSIONS: readonly (readonly [number, number])[] = [
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
  [11, 6],
  [10, 5],
  [9, 4],
];
const MIN_IR_VERSION = 3;

/**
 * The model at opset `target` (13 to 21), or unchanged where it is that new already.
 * @throws LatheError `unsupported-operator` naming the node that has no equivalent in the newer version.
 */
export function upgradeOpset(model: Model, target: number): Model {
  const from = model.opsets.get('') ?? target;
  if (from >= target) return model;
  const inlined = inlineFunctions(model);
  const raiser = new OpsetUpgrader(inlined, from, target);
  const graph = removeUnusedInitializers(raiser.graph(inlined.graph));
  const irVersion = Math.max(inlined.irVersion, minIrVersion(target));
  return {
    ...inlined,
    irVersion,
    opsets: new Map(inlined.opsets).set('', target),
    graph: constantInitializers(withInitializers(graph, raiser.tensors), inlined.irVersion),
  };
}

/** The least IR version that may carry this opset. */
const minIrVersion = (target: number): number => IR_VERSIONS.find(([opset]) => target >= opset)?.[1] ?? MIN_IR_VERSION;

/** Up to IR version 3 initializers are listed among the inputs; from 4 on that would make them variable. */
const constantInitializers = (graph: Graph, irVersion: number): Graph =>
  irVersion >= 4 ? graph : { ...graph, inputs: graph.inputs.filter(({ name }) => !graph.initializers.has(name)) };

class OpsetUpgrader {
  readonly tensors: Tensor[] = [];
  readonly fresh: (base: string) => string;
  private readonly from: number;
  private readonly target: number;
  private readonly types: Map<string, TensorType>;

  constructor(model: Model, from: number, target: number) {
    this.from = from;
    this.target = target;
    this.fresh = freshNames(model);
    this.types = knownTypes(model.graph, inferShapes(model));
  }

  graph(graph: Graph): Graph {
    return {
      ...graph,
      nodes: graph.nodes.flatMap((node) => this.node(mapSubgraphs(node, (inner) => this.graph(inner)))),
    };
  }

  private node(node: Node): Node[] {
    const changes = node.domain === '' ? (CHANGES[node.opType] ?? []) : [];
    let nodes = [node];
    for (const [version, change] of changes) {
      if (version <= this.from || version > this.target) continue;
      // A change may rename the operator (Upsample to Resize), whose result is already in the newest form.
      nodes = nodes.flatMap((each) => (each.opType === node.opType ? change(each, this) : [each]));
    }
    return nodes;
  }

  rankOf(name: string): number | null {
    return this.types.get(name)?.shape?.length ?? null;
  }

  /** Adds an initializer and returns its name. */
  constant(base: string, dtype: DataType, values: readonly number[], scalar = false): string {
    const name = this.fresh(base);
    this.tensors.push(fromHost(name, hostOf(dtype, scalar ? [] : [values.length], values)));
    return name;
  }

  floatType(name: string): DataType {
    return this.types.get(name)?.dtype ?? 'float32';
  }
}

/** Types of all values, those of subgraphs included; a name in several scopes has the last one's type. */
function knownTypes(graph: Graph, table: TypeTable, types = new Map<string, TensorType>()): Map<string, TensorType> {
  const add = (name: string) => {
    const type = table.typeOf(name);
    if (type) types.set(name, type);
  };
  for (const { name, type } of [...graph.valueInfos, ...graph.inputs, ...graph.outputs])
    if (type) types.set(name, type);
  for (const [name, { dtype, dims }] of graph.initializers) types.set(name, { dtype, shape: dims });
  for (const node of graph.nodes) {
    node.outputs.forEach(add);
    for (const attribute of node.attributes.values()) {
      for (const inner of attribute.kind === 'graph'
        ? [attribute.value]
        : attribute.kind === 'graphs'
          ? attribute.value
          : [])
        knownTypes(inner, table.subgraph(inner) ?? table, types);
    }
  }
  return types;
}

type Change = (node: Node, raiser: OpsetUpgrader) => Node[];

const int = (node: Node, name: string, fallback: number): number => {
  const found = node.attributes.get(name);
  return found?.kind === 'int' ? found.value : fallback;
};
const float = (node: Node, name: string): number | null => {
  const found = node.attributes.get(name);
  return found?.kind === 'float' ? found.value : null;
};
const ints = (node: Node, name: string): readonly number[] | null => {
  const found = node.attributes.get(name);
  return found?.kind === 'ints' ? found.value : null;
};
const floats = (node: Node, name: string): readonly number[] | null => {
  const found = node.attributes.get(name);
  return found?.kind === 'floats' ? found.value : null;
};
const label = (node: Node) => node.name || node.outputs[0] || node.opType;

function without(node: Node, ...names: readonly string[]): Node {
  const attributes = new Map(node.attributes);
  for (const name of names) attributes.delete(name);
  return { ...node, attributes };
}
const withAttribute = (node: Node, name: string, value: Attribute): Node => ({
  ...node,
  attributes: new Map(node.attributes).set(name, value),
});
const withInputs = (node: Node, inputs: readonly string[]): Node => ({ ...node, inputs: trimmed(inputs) });

/** Drops omitted inputs at the end. */
function trimmed(inputs: readonly string[]): string[] {
  const list = [...inputs];
  while (list.at(-1) === '') list.pop();
  return list;
}

function refuse(node: Node, reason: string): never {
  const place = nodeLabel(node);
  throw new LatheError('unsupported-operator', `${place}: cannot be brought to a newer opset: ${reason}`, [
    { path: place, message: reason },
  ]);
}

/** Turns an attribute of integers into the input at `position`. */
const attributeToInput =
  (attribute: string, position: number): Change =>
  (node, raiser) => {
    const values = ints(node, attribute);
    if (!values) return [node];
    const inputs = Array.from({ length: position }, (_, i) => node.inputs[i] ?? '');
    return [
      withInputs(without(node, attribute), [
        ...inputs,
        raiser.constant(`${label(node)}_${attribute}`, 'int64', values),
      ]),
    ];
  };

/** Up to opset 12 over all axes from `axis` (default 1) on; from 13 along a single axis (default -1). */
const softmax: Change = (node, raiser) => {
  const rank = raiser.rankOf(inputName(node));
  const axis = int(node, 'axis', 1);
  if (axis === -1 || (rank !== null && (axis === rank - 1 || rank === 1)))
    return [withAttribute(node, 'axis', { kind: 'int', value: -1 })];
  const base = label(node);
  const [shape, flat, result] = [
    raiser.fresh(`${base}_shape`),
    raiser.fresh(`${base}_flat`),
    raiser.fresh(`${base}_result`),
  ];
  return [
    makeNode('Shape', [inputName(node)], [shape], {}, { name: raiser.fresh(`${base}_Shape`) }),
    makeNode('Flatten', [inputName(node)], [flat], { axis }, { name: raiser.fresh(`${base}_Flatten`) }),
    { ...withAttribute(node, 'axis', { kind: 'int', value: -1 }), inputs: [flat], outputs: [result] },
    makeNode('Reshape', [result, shape], [outputName(node)], {}, { name: raiser.fresh(`${base}_Reshape`) }),
  ];
};

const clip: Change = (node, raiser) => {
  const dtype = raiser.floatType(inputName(node));
  const bound = (name: string) => {
    const value = float(node, name);
    return value === null ? '' : raiser.constant(`${label(node)}_${name}`, dtype, [value], true);
  };
  return [withInputs(without(node, 'min', 'max'), [inputName(node), bound('min'), bound('max')])];
};

const dropout: Change = (node, raiser) => {
  if (node.outputs[1]) refuse(node, 'the mask of Dropout is read');
  const ratio = float(node, 'ratio');
  return [
    withInputs({ ...without(node, 'ratio'), outputs: node.outputs.slice(0, 1) }, [
      inputName(node),
      ratio === null ? '' : raiser.constant(`${label(node)}_ratio`, 'float32', [ratio], true),
    ]),
  ];
};

const pad: Change = (node, raiser) => {
  const value = float(node, 'value');
  const pads = raiser.constant(`${label(node)}_pads`, 'int64', ints(node, 'pads') ?? []);
  const filler =
    value === null ? '' : raiser.constant(`${label(node)}_value`, raiser.floatType(inputName(node)), [value], true);
  return [withInputs(without(node, 'pads', 'value'), [inputName(node), pads, filler])];
};

const slice: Change = (node, raiser) => {
  const names = (['starts', 'ends', 'axes'] as const).map((name) => {
    const values = ints(node, name);
    return values ? raiser.constant(`${label(node)}_${name}`, 'int64', values) : '';
  });
  return [withInputs(without(node, 'starts', 'ends', 'axes'), [inputName(node), ...names])];
};

const topK: Change = (node, raiser) => [
  withInputs(without(node, 'k'), [inputName(node), raiser.constant(`${label(node)}_k`, 'int64', [int(node, 'k', 1)])]),
];

/** Writes Upsample and the first Resize as today's Resize. */
const resize: Change = (node, raiser) => {
  const scales = floats(node, 'scales');
  const scaleInput = scales ? raiser.constant(`${label(node)}_scales`, 'float32', scales) : inputName(node, 1);
  const mode = node.attributes.get('mode');
  const linear = mode?.kind === 'string' && mode.value !== 'nearest';
  const settled = makeNode(
    'Resize',
    [inputName(node), '', scaleInput],
    node.outputs,
    { mode: linear ? 'linear' : 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    { name: node.name },
  );
  // The region of interest is optional from opset 13 on; an empty one was required before and is still allowed.
  return [withInputs(settled, [inputName(node), raiser.constant(`${label(node)}_roi`, 'float32', []), scaleInput])];
};

const batchNormalization: Change = (node) => {
  if (int(node, 'spatial', 1) === 0) refuse(node, 'BatchNormalization with spatial = 0');
  return [without(node, 'spatial')];
};

const oneOutput: Change = (node) => {
  if (node.outputs.slice(1).some((name) => name !== '')) refuse(node, 'outputs for training');
  return [{ ...node, outputs: node.outputs.slice(0, 1) }];
};

/** From opset 18 on, equal parts need `num_outputs`. */
const split: Change = (node) => [
  node.inputs[1] ? node : withAttribute(node, 'num_outputs', { kind: 'int', value: node.outputs.length }),
];

const renamed =
  (opType: string): Change =>
  (node) => [{ ...node, opType }];
const refused =
  (reason: string): Change =>
  (node) =>
    refuse(node, reason);
const settled =
  (name: string, value: string): Change =>
  (node) => [node.attributes.has(name) ? node : withAttribute(node, name, { kind: 'string', value })];

const gridSample: Change = (node) => {
  const mode = node.attributes.get('mode');
  const names: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic' };
  return [
    withAttribute(node, 'mode', {
      kind: 'string',
      value: names[mode?.kind === 'string' ? mode.value : 'bilinear'] ?? 'nearest',
    }),
  ];
};

const dft: Change = (node, raiser) => [
  withInputs(without(node, 'axis'), [
    inputName(node),
    node.inputs[1] ?? '',
    raiser.constant(`${label(node)}_axis`, 'int64', [int(node, 'axis', 1)], true),
  ]),
];

const reduction: readonly (readonly [number, Change])[] = [[18, attributeToInput('axes', 1)]];

/** By operator: the versions at which its form changed, in ascending order, and the change. */
const CHANGES: Readonly<Record<string, readonly (readonly [number, Change])[]>> = {
  Softmax: [[13, softmax]],
  LogSoftmax: [[13, softmax]],
  Hardmax: [[13, softmax]],
  Squeeze: [[13, attributeToInput('axes', 1)]],
  Unsqueeze: [[13, attributeToInput('axes', 1)]],
  ReduceSum: [[13, attributeToInput('axes', 1)]],
  Split: [
    [13, attributeToInput('split', 1)],
    [18, split],
  ],
  Clip: [[11, clip]],
  Dropout: [[12, dropout]],
  Pad: [[11, pad]],
  Slice: [[10, slice]],
  TopK: [[10, topK]],
  Upsample: [[10, resize]],
  Resize: [[11, resize]],
  BatchNormalization: [
    [9, batchNormalization],
    [14, oneOutput],
  ],
  Scatter: [[11, renamed('ScatterElements')]],
  Scan: [[9, refused('Scan of opset 8 has another form')]],
  RoiAlign: [[16, settled('coordinate_transformation_mode', 'output_half_pixel')]],
  GroupNormalization: [[21, refused('GroupNormalization of opset 18 has one scale per group')]],
  GridSample: [[20, gridSample]],
  DFT: [[20, dft]],
  ReduceMax: reduction,
  ReduceMin: reduction,
  ReduceMean: reduction,
  ReduceProd: reduction,
  ReduceL1: reduction,
  ReduceL2: reduction,
  ReduceLogSum: reduction,
  ReduceLogSumExp: reduction,
  ReduceSumSquare: reduction,
};
