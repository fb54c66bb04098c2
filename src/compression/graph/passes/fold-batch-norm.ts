import { elementAt, inputName, outputName } from '../../ir/checked-access.ts';
import { freshNames, indexGraph, removeUnusedInitializers, withInitializers } from '../../ir/edit.ts';
import { inferShapes } from '../infer.ts';
import { elementCount, fromHost, hostNumbers, isFloat, toHost } from '../../ir/tensor-data.ts';
import { floatAttribute, intAttribute } from '../../ir/node-attributes.ts';
import type { Graph, Model, Node, Tensor } from '../../ir/types.ts';

/**
 * Folds inference-mode BatchNormalization into the Conv, ConvTranspose, Gemm or MatMul before it (Jacob et al., 2018,
 * eq. 14): y = scale (W x + b - mean) / sqrt(variance + epsilon) + bias becomes W' x + b' with W' = W g, b' = (b -
 * mean) g + bias, g = scale / sqrt(variance + epsilon). Where a weight is shared, or its product read elsewhere, the
 * pair stays. Training wants models unfolded: only quantization and export ask for this.
 */
export function foldBatchNorm(model: Model): Model {
  const fresh = freshNames(model);
  const table = inferShapes(model);
  const rankOf = (name: string): number | null => table.typeOf(name)?.shape?.length ?? null;
  const { producer, consumers, outputs } = indexGraph(model.graph);
  const changed = new Map<Node, Node | null>();
  const tensors: Tensor[] = [];
  for (const norm of model.graph.nodes) {
    if (norm.opType !== 'BatchNormalization' || norm.domain !== '') continue;
    const x = inputName(norm);
    const product = producer.get(x);
    const isReadElsewhere = outputs.has(x) || (consumers.get(x) ?? []).length > 1;
    if (!product || changed.has(product) || isReadElsewhere) continue;
    const folded = foldPair(product, norm, { graph: model.graph, fresh, rankOf });
    if (!folded) continue;
    tensors.push(...folded.tensors);
    changed.set(product, folded.node);
    changed.set(norm, null);
  }
  if (changed.size === 0) return model;
  const nodes = model.graph.nodes.flatMap((node) => (changed.has(node) ? (changed.get(node) ?? []) : node));
  const gone = new Set([...changed.keys()].flatMap((node) => (changed.get(node) ? node.outputs : [])));
  const valueInfos = model.graph.valueInfos.filter(({ name }) => !gone.has(name));
  return {
    ...model,
    graph: removeUnusedInitializers(withInitializers({ ...model.graph, nodes, valueInfos }, tensors)),
  };
}

interface Folded {
  readonly node: Node;
  readonly tensors: readonly Tensor[];
}

/** Scale and shift per channel that the normalization stands for. */
interface Affine {
  readonly gain: Float64Array;
  readonly shift: Float64Array;
}

interface FoldContext {
  readonly graph: Graph;
  readonly fresh: (base: string) => string;
  readonly rankOf: (name: string) => number | null;
}

function foldPair(product: Node, norm: Node, { graph, fresh, rankOf }: FoldContext): Folded | null {
  const affine = product.domain === '' ? affineOf(norm, graph) : null;
  const weight = floatInitializer(graph, product.inputs[1]);
  const channelOf = affine && weight && channelMap(product, weight, affine.gain.length, rankOf);
  const oldBias = affine && biasOf(product, graph, affine.gain.length);
  if (!affine || !weight || !channelOf || !oldBias) return null;
  const isGemm = product.opType === 'Gemm';
  const alpha = isGemm ? floatAttribute(product, 'alpha', 1) : 1;
  const beta = isGemm ? floatAttribute(product, 'beta', 1) : 1;
  const weightName = fresh(`${weight.name}_folded`);
  const biasName = fresh(`${product.inputs[2] || weight.name}_bias_folded`);
  const tensors = [
    fromHost(weightName, {
      dtype: weight.dtype,
      dims: weight.dims,
      data: scaled(weight, channelOf, affine.gain, alpha),
    }),
    fromHost(biasName, {
      dtype: weight.dtype,
      dims: [affine.gain.length],
      data: affine.shift.map(
        (shift, c) => beta * elementAt(oldBias, c, 'bias') * elementAt(affine.gain, c, 'gain') + shift,
      ),
    }),
  ];
  return {
    node: { ...asAffine(product), inputs: [inputName(product), weightName, biasName], outputs: [outputName(norm)] },
    tensors,
  };
}

/** MatMul has no bias input: as a product of matrices it becomes Gemm. */
function asAffine(product: Node): Node {
  if (product.opType === 'MatMul') return { ...product, opType: 'Gemm', attributes: new Map() };
  if (product.opType !== 'Gemm') return product;
  const attributes = new Map(product.attributes);
  attributes.delete('alpha');
  attributes.delete('beta');
  return { ...product, attributes };
}

function affineOf(norm: Node, graph: Graph): Affine | null {
  const training = norm.attributes.get('training_mode');
  if ((training?.kind === 'int' && training.value !== 0) || norm.outputs.slice(1).some((name) => name !== ''))
    return null;
  const [scale, bias, mean, variance] = norm.inputs.slice(1, 5).map((name) => numbersOf(graph, name));
  if (!scale || !bias || !mean || !variance) return null;
  if ([bias, mean, variance].some(({ length }) => length !== scale.length)) return null;
  const epsilon = floatAttribute(norm, 'epsilon', 1e-5);
  const gain = Float64Array.from(scale, (value, c) => value / Math.sqrt(elementAt(variance, c, 'variance') + epsilon));
  const shift = gain.map((value, c) => elementAt(bias, c, 'bias') - elementAt(mean, c, 'mean') * value);
  return { gain, shift };
}

/**
 * Channel of the product that an element of the weight (by its first two indices) belongs to; null where the pair
 * cannot be folded.
 */
function channelMap(
  product: Node,
  { dims }: Tensor,
  channels: number,
  rankOf: (name: string) => number | null,
): ((first: number, second: number) => number) | null {
  switch (product.opType) {
    case 'Conv':
      return dims[0] === channels ? (first) => first : null;
    case 'ConvTranspose': {
      // [cin, cout / groups, ...]
      const [cin = 0, perGroup = 0] = dims;
      const groups = intAttribute(product, 'group', 1);
      return perGroup * groups === channels
        ? (first, second) => Math.floor(first / (cin / groups)) * perGroup + second
        : null;
    }
    case 'Gemm': {
      const transposed = intAttribute(product, 'transB', 0) !== 0;
      return dims[transposed ? 0 : 1] === channels ? (first, second) => (transposed ? first : second) : null;
    }
    // Only [n, k] x [k, c]: of higher ranks BatchNormalization normalizes another axis, and Gemm takes matrices only.
    case 'MatMul':
      return dims.length === 2 && dims[1] === channels && rankOf(inputName(product)) === 2
        ? (_, second) => second
        : null;
    default:
      return null;
  }
}

function scaled(
  weight: Tensor,
  channelOf: (first: number, second: number) => number,
  gain: Float64Array,
  alpha: number,
): Float64Array {
  const second = weight.dims[1] ?? 1;
  const inner = elementCount(weight.dims.slice(2));
  const values = Float64Array.from(hostNumbers(toHost(weight)));
  for (let i = 0; i < values.length; i++) {
    const row = Math.floor(i / inner);
    values[i]! *= alpha * gain[channelOf(Math.floor(row / second), row % second)]!; // hot: every weight of a layer
  }
  return values;
}

/** The product's bias, one value a channel; zeros where it has none; null where it is no constant vector. */
function biasOf(product: Node, graph: Graph, channels: number): ArrayLike<number> | null {
  const name = product.opType === 'MatMul' ? '' : product.inputs[2];
  if (!name) return new Float64Array(channels);
  const tensor = floatInitializer(graph, name);
  if (!tensor || tensor.dims.at(-1) !== elementCount(tensor.dims)) return null;
  const values = hostNumbers(toHost(tensor));
  if (values.length === channels) return values;
  const [only] = values;
  return only !== undefined && values.length === 1 && product.opType === 'Gemm'
    ? new Float64Array(channels).fill(only)
    : null;
}

function numbersOf(graph: Graph, name: string): number[] | null {
  const tensor = floatInitializer(graph, name);
  return tensor && hostNumbers(toHost(tensor));
}

function floatInitializer(graph: Graph, name: string | undefined): Tensor | null {
  const tensor = name ? graph.initializers.get(name) : undefined;
  return tensor && isFloat(tensor.dtype) ? tensor : null;
}
