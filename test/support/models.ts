/**
 * Small models and data that the tests of training, techniques and recipes share: real graphs, seeded weights,
 * separable classes.
 */
import { arrayDataset } from '../../src/compression/data/array-dataset.ts';
import { arrayFrom } from '../../src/compression/data/array-store.ts';
import type { Dataset } from '../../src/compression/data/dataset.ts';
import { seededNormal, seededRandom } from '../../src/compression/data/random.ts';
import { settingsOf } from '../../src/compression/ir/settings.ts';
import { fromHost, toHost } from '../../src/compression/ir/tensor-data.ts';
import { makeNode } from '../../src/compression/ir/edit.ts';
import type { Dim, Model, Tensor } from '../../src/compression/ir/types.ts';
import { modelOf, tensor, value } from './graphs.ts';

/** Normal weights scaled by 1 / sqrt(fan-in). */
export function randomTensor(name: string, dims: readonly number[], seed: number): Tensor {
  const normal = seededNormal(seed, name.length, name.charCodeAt(name.length - 1));
  const size = dims.reduce((product, dim) => product * dim, 1);
  const scale = 1 / Math.sqrt(size / Math.max(...dims.slice(0, 1)));
  return tensor(
    name,
    dims,
    Float32Array.from({ length: size }, () => normal() * scale),
  );
}

/** Gemm, Relu, Gemm and, where asked, an activation: [n, features] -> [n, classes]. */
export function perceptron({
  features = 4,
  hidden = 16,
  classes = 3,
  seed = 1,
  activation = null as 'Softmax' | 'Sigmoid' | 'LogSoftmax' | null,
} = {}): Model {
  const nodes = [
    makeNode('Gemm', ['x', 'w1', 'b1'], ['h1'], { transB: 1 }, { name: 'first' }),
    makeNode('Relu', ['h1'], ['a1']),
    makeNode('Gemm', ['a1', 'w2', 'b2'], [activation ? 'scores' : 'y'], { transB: 1 }, { name: 'second' }),
    ...(activation ? [makeNode(activation, ['scores'], ['y'], activation === 'Sigmoid' ? {} : { axis: -1 })] : []),
  ];
  const initializers = [
    randomTensor('w1', [hidden, features], seed),
    tensor('b1', [hidden], new Float32Array(hidden)),
    randomTensor('w2', [classes, hidden], seed + 1),
    tensor('b2', [classes], new Float32Array(classes)),
  ];
  return modelOf({ nodes, initializers, inputs: [value('x', ['n', features])], outputs: [value('y', ['n', classes])] });
}

/** Clouds of points, one per class, around random centres. */
export function clouds({ samples = 300, features = 4, classes = 3, seed = 7, labelled = true } = {}): Dataset {
  const normal = seededNormal(seed);
  const uniform = seededRandom(seed, 1);
  const centres = Array.from({ length: classes }, () => Array.from({ length: features }, () => normal() * 2));
  const labels = Int32Array.from({ length: samples }, () => Math.floor(uniform() * classes));
  const x = new Float32Array(samples * features);
  for (let i = 0; i < x.length; i++) x[i] = centres[labels[Math.floor(i / features)]!]![i % features]! + normal() * 0.5;
  const inputs = new Map([['x', arrayFrom('float32', [samples, features], x)]]);
  const target = labelled ? arrayFrom('int32', [samples], labels) : null;
  return arrayDataset('npz', new Map([['train', { inputs, target }]]), { name: 'y' });
}

interface ConvolutionalOptions {
  readonly channels?: number;
  readonly filters?: number;
  readonly classes?: number;
  readonly batch?: Dim;
  readonly seed?: number;
}

/** Conv, BatchNormalization, Relu, GlobalAveragePool, Flatten, Gemm: [batch, channels, 6, 6] -> [batch, classes]. */
export function convolutional({
  channels = 4,
  filters = 8,
  classes = 3,
  batch = 'n',
  seed = 3,
}: ConvolutionalOptions = {}): Model {
  const nodes = [
    makeNode('Conv', ['x', 'kernel'], ['c'], { pads: [1, 1, 1, 1] }, { name: 'conv' }),
    makeNode('BatchNormalization', ['c', 'scale', 'shift', 'mean', 'variance'], ['b']),
    makeNode('Relu', ['b'], ['r']),
    makeNode('GlobalAveragePool', ['r'], ['g']),
    makeNode('Flatten', ['g'], ['f']),
    makeNode('Gemm', ['f', 'w', 'd'], ['y'], { transB: 1 }, { name: 'head' }),
  ];
  const constant = (name: string, size: number, of: number) => tensor(name, [size], new Float32Array(size).fill(of));
  const initializers = [
    randomTensor('kernel', [filters, channels, 3, 3], seed),
    constant('scale', filters, 1),
    constant('shift', filters, 0),
    constant('mean', filters, 0),
    constant('variance', filters, 1),
    randomTensor('w', [classes, filters], seed + 1),
    constant('d', classes, 0),
  ];
  return modelOf({
    nodes,
    initializers,
    inputs: [value('x', [batch, channels, 6, 6])],
    outputs: [value('y', [batch, classes])],
  });
}

/** Noise images [channels, 6, 6] whose class is the brightest of the first channels. */
export function images({ samples = 200, channels = 4, classes = 3, seed = 11, labelled = true } = {}): Dataset {
  const normal = seededNormal(seed);
  const uniform = seededRandom(seed, 1);
  const labels = Int32Array.from({ length: samples }, () => Math.floor(uniform() * classes));
  const x = Float32Array.from(
    { length: samples * channels * 36 },
    (_, i) => normal() + (Math.floor(i / 36) % channels === labels[Math.floor(i / (channels * 36))] ? 1.5 : 0),
  );
  const inputs = new Map([['x', arrayFrom('float32', [samples, channels, 6, 6], x)]]);
  return arrayDataset(
    'npz',
    new Map([['train', { inputs, target: labelled ? arrayFrom('int32', [samples], labels) : null }]]),
    { name: 'y' },
  );
}

/** The model with its float weights changed element by element, as training would; single numbers and settings stay. */
export function withWeights(model: Model, change: (value: number, index: number, name: string) => number): Model {
  const settings = settingsOf(model);
  const initializers = new Map(
    [...model.graph.initializers].map(([name, tensor]): [string, Tensor] => {
      if (tensor.dtype !== 'float32' || tensor.dims.length === 0 || settings.has(name)) return [name, tensor];
      return [
        name,
        fromHost(name, {
          ...toHost(tensor),
          data: (toHost(tensor).data as Float32Array).map((value, i) => change(value, i, name)),
        }),
      ];
    }),
  );
  return { ...model, graph: { ...model.graph, initializers } };
}
