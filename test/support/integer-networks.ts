/**
 * Twelve small networks of the usual kinds, for tests of int8. Weights have heavy tails (Laplace), as trained ones do.
 */
import { GraphBuilder } from '../../src/compression/formats/graph-builder.ts';
import { seededRandom } from '../../src/compression/data/random.ts';
import type { Model } from '../../src/compression/ir/types.ts';

export interface IntegerNetwork {
  readonly title: string;
  /** One sample. */
  readonly input: readonly number[];
  model(): Model;
}

/** He et al.'s variance, 2 / fan-in. */
function laplace(dims: readonly number[], fanIn: number, seed: number): Float32Array {
  const uniform = seededRandom(seed, dims.length);
  const scale = Math.sqrt(1 / fanIn);
  return Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => {
    const u = uniform() - 0.5;
    return -scale * Math.sign(u) * Math.log(1 - 2 * Math.abs(u) + 1e-12);
  });
}

class Net {
  readonly graph = new GraphBuilder();
  private seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  weight(dims: readonly number[], fanIn: number): string {
    return this.graph.weight('w', dims, laplace(dims, fanIn, this.seed++));
  }

  bias(size: number): string {
    return this.graph.weight('b', [size], laplace([size], 40, this.seed++));
  }

  conv(x: string, inputs: number, outputs: number, kernel: readonly number[], { stride = 1, group = 1 } = {}): string {
    const pads = kernel.map((size) => size >> 1);
    const weight = this.weight(
      [outputs, inputs / group, ...kernel],
      (inputs / group) * kernel.reduce((a, b) => a * b, 1),
    );
    return this.graph.op('Conv', [x, weight, this.bias(outputs)], {
      kernel_shape: kernel,
      pads: [...pads, ...pads],
      strides: kernel.map(() => stride),
      group,
    });
  }

  norm(x: string, channels: number): string {
    const around = (centre: number) =>
      this.graph.weight(
        'n',
        [channels],
        laplace([channels], 60, this.seed++).map((v) => centre + v),
      );
    const variance = this.graph.weight(
      'v',
      [channels],
      laplace([channels], 60, this.seed++).map((v) => 1 + Math.abs(v)),
    );
    return this.graph.op('BatchNormalization', [x, around(1), around(0), around(0), variance]);
  }

  relu = (x: string) => this.graph.op('Relu', [x]);
  add = (x: string, y: string) => this.graph.op('Add', [x, y]);
  pool = (x: string) => this.graph.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  flat = (x: string) => this.graph.op('Flatten', [x], { axis: 1 });
  mean = (x: string) => this.flat(this.graph.op('GlobalAveragePool', [x]));

  gemm(x: string, inputs: number, outputs: number, transB = 1): string {
    return this.graph.op(
      'Gemm',
      [x, this.weight(transB ? [outputs, inputs] : [inputs, outputs], inputs), this.bias(outputs)],
      { transB },
    );
  }

  linear = (x: string, inputs: number, outputs: number) =>
    this.add(this.graph.op('MatMul', [x, this.weight([inputs, outputs], inputs)]), this.bias(outputs));
}

function network(title: string, input: readonly number[], build: (net: Net, x: string) => string): IntegerNetwork {
  return {
    title,
    input,
    model() {
      const net = new Net(title.length * 100);
      const y = build(net, net.graph.input('x', 'float32', ['n', ...input]));
      net.graph.output('y', y, 'float32', ['n', 10]);
      return net.graph.build(title, 'test');
    },
  };
}

function depthwise(net: Net, x: string, inputs: number, outputs: number, stride: number): string {
  const spatial = net.relu(net.norm(net.conv(x, inputs, inputs, [3, 3], { stride, group: inputs }), inputs));
  return net.relu(net.norm(net.conv(spatial, inputs, outputs, [1, 1]), outputs));
}

function inverted(net: Net, x: string, channels: number): string {
  const six = (value: string) => net.graph.op('Clip', [value, net.graph.scalar(0), net.graph.scalar(6)]);
  const wide = six(net.norm(net.conv(x, channels, 4 * channels, [1, 1]), 4 * channels));
  const filtered = six(
    net.norm(net.conv(wide, 4 * channels, 4 * channels, [3, 3], { group: 4 * channels }), 4 * channels),
  );
  return net.add(x, net.norm(net.conv(filtered, 4 * channels, channels, [1, 1]), channels));
}

function residual(net: Net, x: string, channels: number, group = 1): string {
  const inner = net.relu(net.norm(net.conv(x, channels, channels, [3, 3], { group }), channels));
  return net.relu(net.add(x, net.norm(net.conv(inner, channels, channels, [3, 3], { group }), channels)));
}

function inception(net: Net, x: string, channels: number): string {
  const [one, three, five] = [
    [1, 1],
    [3, 3],
    [5, 5],
  ].map((kernel) => net.relu(net.conv(x, channels, 16, kernel)));
  return net.graph.op('Concat', [one!, three!, five!], { axis: 1 });
}

function encoder(net: Net, x: string, [length, width, heads]: readonly [number, number, number]): string {
  const norm = (value: string) =>
    net.graph.op(
      'LayerNormalization',
      [value, net.graph.weight('s', [width], new Float32Array(width).fill(1)), net.bias(width)],
      { axis: -1 },
    );
  const split = (perm: readonly number[]) =>
    net.graph.op(
      'Transpose',
      [net.graph.op('Reshape', [net.linear(x, width, width), net.graph.ints([0, length, heads, width / heads])])],
      { perm },
    );
  const scores = net.graph.op('Mul', [
    net.graph.op('MatMul', [split([0, 2, 1, 3]), split([0, 2, 3, 1])]),
    net.graph.scalar(1 / Math.sqrt(width / heads)),
  ]);
  const mixed = net.graph.op(
    'Transpose',
    [net.graph.op('MatMul', [net.graph.op('Softmax', [scores], { axis: -1 }), split([0, 2, 1, 3])])],
    { perm: [0, 2, 1, 3] },
  );
  const attended = norm(
    net.add(x, net.linear(net.graph.op('Reshape', [mixed, net.graph.ints([0, length, width])]), width, width)),
  );
  return norm(net.add(attended, net.linear(net.relu(net.linear(attended, width, 4 * width)), 4 * width, width)));
}

const averaged = (net: Net, x: string, axis: number) =>
  net.graph.op('ReduceMean', [x, net.graph.ints([axis])], { keepdims: 0 });

/** [n, length, inputs] -> its last state [n, hidden]. */
function recurrent(net: Net, x: string, inputs: number, hidden: number, type: 'LSTM' | 'GRU'): string {
  const gates = type === 'LSTM' ? 4 : 3;
  const sequence = net.graph.op('Transpose', [x], { perm: [1, 0, 2] });
  const weights = [
    net.weight([1, gates * hidden, inputs], inputs),
    net.weight([1, gates * hidden, hidden], hidden),
    net.bias(2 * gates * hidden),
  ];
  const bias = net.graph.op('Unsqueeze', [weights[2]!, net.graph.ints([0])]);
  const [, last] = net.graph.ops(type, [sequence, weights[0]!, weights[1]!, bias], 2, { hidden_size: hidden });
  return net.graph.op('Squeeze', [last, net.graph.ints([0])]);
}

export const INTEGER_NETWORKS: readonly IntegerNetwork[] = [
  network('convolutions and poolings, as in LeNet-5', [1, 20, 20], (net, x) =>
    net.gemm(
      net.relu(
        net.gemm(
          net.flat(net.pool(net.relu(net.conv(net.pool(net.relu(net.conv(x, 1, 12, [5, 5]))), 12, 24, [5, 5])))),
          600,
          64,
        ),
      ),
      64,
      10,
    ),
  ),
  network('convolutions with normalization, as in VGG', [3, 16, 16], (net, x) => {
    const block = (value: string, inputs: number, outputs: number) =>
      net.relu(net.norm(net.conv(value, inputs, outputs, [3, 3]), outputs));
    return net.gemm(net.mean(block(net.pool(block(block(x, 3, 16), 16, 24)), 24, 32)), 32, 10, 0);
  }),
  network('depthwise and pointwise, as in MobileNet', [3, 16, 16], (net, x) =>
    net.gemm(
      net.mean(depthwise(net, depthwise(net, net.relu(net.conv(x, 3, 16, [3, 3])), 16, 32, 2), 32, 48, 1)),
      48,
      10,
    ),
  ),
  network('inverted residuals, as in MobileNetV2', [3, 12, 12], (net, x) =>
    net.gemm(net.mean(inverted(net, inverted(net, net.conv(x, 3, 16, [3, 3]), 16), 16)), 16, 10),
  ),
  network('residual blocks, as in ResNet', [3, 12, 12], (net, x) =>
    net.gemm(
      net.mean(residual(net, residual(net, net.relu(net.conv(x, 3, 24, [3, 3], { stride: 1 })), 24), 24)),
      24,
      10,
    ),
  ),
  network('grouped convolutions, as in ResNeXt', [3, 12, 12], (net, x) =>
    net.gemm(net.mean(residual(net, net.relu(net.conv(x, 3, 32, [3, 3])), 32, 4)), 32, 10),
  ),
  network('branches joined, as in Inception', [5, 12, 12], (net, x) =>
    net.gemm(net.mean(inception(net, inception(net, x, 5), 48)), 48, 10),
  ),
  network('convolutions over time', [6, 64], (net, x) =>
    net.gemm(net.mean(net.relu(net.conv(net.relu(net.conv(x, 6, 32, [7], { stride: 2 })), 32, 33, [5]))), 33, 10),
  ),
  network('a perceptron', [75], (net, x) =>
    net.gemm(net.relu(net.gemm(net.relu(net.gemm(x, 75, 128)), 128, 96, 0)), 96, 10),
  ),
  network('a transformer encoder', [12, 32], (net, x) =>
    net.gemm(averaged(net, encoder(net, encoder(net, x, [12, 32, 4]), [12, 32, 4]), 1), 32, 10),
  ),
  network('LSTM and a classifier', [16, 24], (net, x) =>
    net.gemm(net.relu(net.gemm(recurrent(net, x, 24, 32, 'LSTM'), 32, 64)), 64, 10),
  ),
  network('convolutions over time and a GRU', [16, 32], (net, x) => {
    const features = net.relu(net.conv(net.graph.op('Transpose', [x], { perm: [0, 2, 1] }), 32, 32, [3]));
    return net.linear(
      recurrent(net, net.graph.op('Transpose', [features], { perm: [0, 2, 1] }), 32, 32, 'GRU'),
      32,
      10,
    );
  }),
];
