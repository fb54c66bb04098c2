/**
 * float32 -> float16 throughout the main graph, except for operators defined without float16, subgraphs, other domains,
 * and nodes with observed values beyond float16's range. Casts connect the two types, one per value.
 */
import { outputName } from '../../../ir/checked-access.ts';
import {
  freshNames,
  makeNode,
  removeUnusedInitializers,
  renameUses,
  subgraphs,
  topologicalOrder,
  usedNames,
} from '../../../ir/edit.ts';
import { elementCount, fromHost, toHost } from '../../../ir/tensor-data.ts';
import { DATA_TYPES, type Graph, type Model, type Node, type Tensor, type ValueInfo } from '../../../ir/types.ts';
import { FLOAT32, MIN_ELEMENTS } from '../graph-parts.ts';

export const MAX_FLOAT16 = 65504;
const MIN_FLOAT16 = 2 ** -24;
const FLOAT16 = DATA_TYPES.indexOf('float16');
/** Tensors up to this size are settings (an epsilon, a bound) rather than weights: they must not round to zero. */
const SETTING_ELEMENTS = 16;

/**
 * Operators whose definition (in some opset from 7 on) has float32 but no float16, whose type follows from attributes
 * or sequences, or whose constants need the range.
 */
const WITHOUT_HALF: ReadonlySet<string> = new Set([
  'QuantizeLinear',
  'DequantizeLinear',
  'DynamicQuantizeLinear',
  'QLinearConv',
  'QLinearMatMul',
  'Range',
  'CumSum',
  'NonMaxSuppression',
  'Multinomial',
  'RandomNormal',
  'RandomUniform',
  'RandomNormalLike',
  'RandomUniformLike',
  'Bernoulli',
  'EyeLike',
  'ConstantOfShape',
  'Celu',
  'IsInf',
  'CastLike',
  'Upsample',
  'MelWeightMatrix',
  'HannWindow',
  'HammingWindow',
  'BlackmanWindow',
  'DFT',
  'STFT',
  'Optional',
  'OptionalGetElement',
  'BatchNormalization', // variances far below float16's least are common; what can be folded has been
  'SequenceConstruct',
  'SequenceAt',
  'SequenceInsert',
  'SequenceErase',
  'SequenceEmpty',
  'SplitToSequence',
  'ConcatFromSequence',
  'TfIdfVectorizer',
  'Unique',
  'MaxUnpool',
  'Det',
  'ImageDecoder',
]);
/** Inputs that are float32 by definition. */
const SINGLE_INPUTS: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2], Dropout: [1] };

export interface HalfOptions {
  readonly keepIO: boolean;
  /** Element types by value name. */
  readonly types: ReadonlyMap<string, string>;
  /** Values whose magnitude leaves float16's range. */
  readonly tooLarge: ReadonlySet<string>;
  readonly selected: (names: readonly string[]) => boolean;
}

export function castToHalf(model: Model, options: HalfOptions): Model {
  return { ...model, graph: new HalfWriter(model, options).write() };
}

type Form = 'half' | 'single';

class HalfWriter {
  private readonly graph: Graph;
  private readonly options: HalfOptions;
  private readonly fresh: (base: string) => string;
  private readonly border: ReadonlySet<string>;
  private readonly madeAs = new Map<string, Form>();
  private readonly names = new Map<string, string>();
  private readonly nodes: Node[] = [];
  private readonly tensors = new Map<string, Tensor>();

  constructor(model: Model, options: HalfOptions) {
    this.graph = model.graph;
    this.options = options;
    this.fresh = freshNames(model);
    this.border = new Set([...model.graph.inputs, ...model.graph.outputs].map(({ name }) => name));
  }

  write(): Graph {
    const {
      graph,
      options: { keepIO },
    } = this;
    const forms = new Map(graph.nodes.map((node) => [node, this.formOf(node)]));
    for (const [node, form] of forms)
      for (const name of node.outputs) if (this.isFloat(name)) this.madeAs.set(name, form);
    for (const { name } of graph.inputs) if (this.isFloat(name)) this.madeAs.set(name, keepIO ? 'single' : 'half');
    for (const node of graph.nodes)
      this.nodes.push(forms.get(node) === 'half' ? this.writeHalf(node) : this.writeSingle(node));
    for (const { name } of graph.outputs) if (this.isFloat(name)) this.valueAs(name, keepIO ? 'single' : 'half');
    for (const [name, tensor] of graph.initializers) if (!this.isFloat(name)) this.tensors.set(name, tensor);
    const written: Graph = {
      ...graph,
      nodes: this.nodes,
      initializers: this.tensors,
      valueInfos: graph.valueInfos.flatMap((info) => this.writeInfo(info)),
      inputs: graph.inputs
        .filter(({ name }) => !graph.initializers.has(name))
        .map((info) => (keepIO ? info : halfInfo(info))),
      outputs: keepIO ? graph.outputs : graph.outputs.map(halfInfo),
    };
    return removeUnusedInitializers({ ...written, nodes: topologicalOrder(written) });
  }

  private isFloat(name: string): boolean {
    return this.options.types.get(name) === 'float32';
  }

  private formOf(node: Node): Form {
    const { selected, tooLarge } = this.options;
    const values = [...node.inputs, ...node.outputs];
    const stays =
      node.domain !== '' ||
      WITHOUT_HALF.has(node.opType) ||
      subgraphs(node).length > 0 ||
      movesBatchIn(node) ||
      values.some((name) => tooLarge.has(name)) ||
      !selected([node.name, ...node.inputs]);
    return stays ? 'single' : 'half';
  }

  private writeHalf(node: Node): Node {
    const single = SINGLE_INPUTS[node.opType] ?? [];
    const inputs = node.inputs.map((name, i) =>
      this.isFloat(name) ? this.valueAs(name, single.includes(i) ? 'single' : 'half') : name,
    );
    const attributes = new Map(node.attributes);
    if (node.opType === 'Cast' && this.isFloat(outputName(node))) attributes.set('to', { kind: 'int', value: FLOAT16 });
    const value = attributes.get('value');
    if (node.opType === 'Constant' && value?.kind === 'tensor')
      attributes.set('value', { kind: 'tensor', value: halfTensor(value.value.name, value.value) });
    return {
      ...node,
      inputs,
      outputs: node.outputs.map((name) => (this.isFloat(name) ? this.nameOf(name, 'half') : name)),
      attributes,
    };
  }

  /** Subgraphs read float32 values of the outer graph by name. */
  private writeSingle(node: Node): Node {
    const used = new Map(
      [...usedNames(node)].filter((name) => this.isFloat(name)).map((name) => [name, this.valueAs(name, 'single')]),
    );
    const changed = new Map([...used].filter(([name, other]) => name !== other));
    const [renamed = node] = changed.size > 0 ? renameUses({ ...this.graph, nodes: [node] }, changed).nodes : [node];
    return {
      ...renamed,
      outputs: node.outputs.map((name) => (this.isFloat(name) ? this.nameOf(name, 'single') : name)),
    };
  }

  /** A value keeps its name in float32; graph inputs and outputs that become float16 keep it in float16. */
  private nameOf(name: string, form: Form): string {
    const keeps: Form = !this.options.keepIO && this.border.has(name) ? 'half' : 'single';
    if (form === keeps) return name;
    const key = `${form}:${name}`;
    const known = this.names.get(key) ?? this.fresh(`${name}_${form === 'half' ? 'float16' : 'float32'}`);
    this.names.set(key, known);
    return known;
  }

  /** The value's name in this form; the first use in the other form adds the Cast or the initializer. */
  private valueAs(name: string, form: Form): string {
    const initializer = this.graph.initializers.get(name);
    if (initializer) return this.initializerAs(initializer, form);
    const target = this.nameOf(name, form);
    const made = this.madeAs.get(name);
    if (made !== undefined && made !== form && !this.names.has(`cast:${target}`)) {
      this.names.set(`cast:${target}`, target);
      this.nodes.push(
        makeNode(
          'Cast',
          [this.nameOf(name, made)],
          [target],
          { to: form === 'half' ? FLOAT16 : FLOAT32 },
          { name: this.fresh(`${name}_Cast`) },
        ),
      );
    }
    return target;
  }

  /** Stores small constants in both forms, large ones as halves with a Cast. */
  private initializerAs(tensor: Tensor, form: Form): string {
    const target = this.nameOf(tensor.name, form);
    if (this.names.has(`made:${target}`)) return target;
    this.names.set(`made:${target}`, target);
    if (form === 'half') this.tensors.set(target, halfTensor(target, tensor));
    else if (elementCount(tensor.dims) < MIN_ELEMENTS || !fitsHalf(tensor))
      this.tensors.set(target, { ...tensor, name: target });
    else {
      const half = this.initializerAs(tensor, 'half');
      this.nodes.push(makeNode('Cast', [half], [target], { to: FLOAT32 }, { name: this.fresh(`${tensor.name}_Cast`) }));
    }
    return target;
  }

  /** Gives annotations the type of the value under their name; drops those of removed values. */
  private writeInfo(info: ValueInfo): ValueInfo[] {
    if (!this.isFloat(info.name)) return [info];
    const made = this.madeAs.get(info.name);
    const kept = made === 'single' || this.names.has(`cast:${info.name}`);
    return kept && made !== undefined && this.nameOf(info.name, 'single') === info.name ? [info] : [];
  }
}

/**
 * A transposition of [batch, ..., rows, columns] to [..., batch, columns] or [..., columns, batch]: onnxruntime (1.24
 * to 1.32 at least, on x86) fuses one of half floats into the product that follows, and then crashes on a null pointer
 * in its layout transformation.
 */
function movesBatchIn({ opType, attributes }: Node): boolean {
  const perm = attributes.get('perm');
  return (
    opType === 'Transpose' &&
    perm?.kind === 'ints' &&
    perm.value.length > 2 &&
    perm.value.slice(0, -2).every((axis, i) => axis === i + 1)
  );
}

const halfInfo = (info: ValueInfo): ValueInfo =>
  info.type?.dtype === 'float32' ? { name: info.name, type: { ...info.type, dtype: 'float16' } } : info;

/** Makes no value infinite. */
export const fitsHalf = (tensor: Tensor): boolean =>
  (toHost(tensor).data as Float32Array).every((value) => !(Math.abs(value) > MAX_FLOAT16));

/** Clamps finite values to the range (beyond it they are bounds or masks); settings do not round to zero. */
function halfTensor(name: string, tensor: Tensor): Tensor {
  if (tensor.dtype !== 'float32') return { ...tensor, name };
  const setting = elementCount(tensor.dims) <= SETTING_ELEMENTS;
  const data = Float32Array.from(toHost(tensor).data as Float32Array, (value) => {
    const magnitude = Math.abs(value);
    if (magnitude > MAX_FLOAT16 && magnitude !== Infinity) return Math.sign(value) * MAX_FLOAT16;
    return setting && magnitude > 0 && magnitude < MIN_FLOAT16 ? Math.sign(value) * MIN_FLOAT16 : value;
  });
  return fromHost(name, { dtype: 'float16', dims: tensor.dims, data });
}
