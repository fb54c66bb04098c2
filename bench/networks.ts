/** The networks that training is measured on, twice: written to ONNX, and by hand on the engine's primitives. */
import { GraphBuilder } from '../src/compression/formats/graph-builder.ts';
import { writeOnnx } from '../src/compression/formats/onnx/write.ts';
import * as nn from '../src/compression/tensor/nn.ts';
import { tf } from '../src/compression/tensor/tf.ts';
import type { TfTensor, TfVariable } from '../src/compression/tensor/tf.ts';

export type NetworkName = 'lenet-300-100' | 'lenet-5' | 'resnet-20';

export interface HandWritten {
  readonly weights: readonly TfVariable[];
  /** Statistics of batch normalization, updated by `logits`. */
  readonly statistics: readonly TfVariable[];
  /** x [n, h, w, c] -> [n, 10] */
  logits(x: TfTensor): TfTensor;
}

export interface BenchNetwork {
  readonly name: NetworkName;
  readonly title: string;
  /** [h, w, c] */
  readonly image: readonly [number, number, number];
  onnx(): Uint8Array;
  byHand(): HandWritten;
}

/**
 * LeCun et al. 1998, in the widths of the pruning literature (Caffe's): 784-300-100-10, and 20 and 50 kernels of 5 x 5,
 * 500 units.
 */
export const NETWORKS: readonly BenchNetwork[] = [
  {
    name: 'lenet-300-100',
    title: 'LeNet-300-100',
    image: [28, 28, 1],
    onnx: () => lenet300(),
    byHand: () => lenet300ByHand(),
  },
  { name: 'lenet-5', title: 'LeNet-5', image: [28, 28, 1], onnx: () => lenet5(), byHand: () => lenet5ByHand() },
  { name: 'resnet-20', title: 'ResNet-20', image: [32, 32, 3], onnx: () => resnet20(), byHand: () => resnet20ByHand() },
];

/**
 * Normal values with the standard deviation of He et al. 2015 (arXiv 1502.01852), by a linear congruential generator
 * and Box and Muller.
 */
export function initial(dims: readonly number[], fanIn: number): Float32Array {
  let state = 12345 + dims.reduce((a, b) => a * 31 + b, 7);
  const next = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  const deviation = Math.sqrt(2 / fanIn);
  return Float32Array.from(
    { length: dims.reduce((a, b) => a * b, 1) },
    () => deviation * Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()),
  );
}

export class OnnxNetwork {
  readonly graph = new GraphBuilder();

  dense(x: string, inputs: number, outputs: number): string {
    return this.graph.op('Gemm', [
      x,
      this.graph.weight('w', [inputs, outputs], initial([inputs, outputs], inputs)),
      this.graph.weight('b', [outputs], new Float32Array(outputs)),
    ]);
  }

  conv(
    x: string,
    kernel: number,
    inputs: number,
    outputs: number,
    {
      stride = 1,
      pad = 0,
      bias = false,
      group = 1,
    }: { stride?: number; pad?: number; bias?: boolean; group?: number } = {},
  ): string {
    const dims = [outputs, inputs / group, kernel, kernel];
    const weight = this.graph.weight('w', dims, initial(dims, (inputs / group) * kernel ** 2));
    const operands = bias ? [x, weight, this.graph.weight('b', [outputs], new Float32Array(outputs))] : [x, weight];
    return this.graph.op('Conv', operands, {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [pad, pad, pad, pad],
      group,
    });
  }

  batchNorm(x: string, channels: number): string {
    const vector = (name: string, value: number) =>
      this.graph.weight(name, [channels], new Float32Array(channels).fill(value));
    return this.graph.op(
      'BatchNormalization',
      [x, vector('scale', 1), vector('bias', 0), vector('mean', 0), vector('variance', 1)],
      { epsilon: { float: 1e-3 } },
    );
  }

  relu(x: string): string {
    return this.graph.op('Relu', [x]);
  }

  pool(x: string): string {
    return this.graph.op('MaxPool', [x], { kernel_shape: [2, 2], strides: [2, 2] });
  }

  finish(logits: string, name: string): Uint8Array {
    this.graph.output('logits', logits, 'float32', ['n', 10]);
    return writeOnnx(this.graph.build(name, 'lathe-bench'));
  }
}

function lenet300(): Uint8Array {
  const network = new OnnxNetwork();
  const flat = network.graph.op('Flatten', [network.graph.input('x', 'float32', ['n', 1, 28, 28])], { axis: 1 });
  const hidden = network.relu(network.dense(network.relu(network.dense(flat, 784, 300)), 300, 100));
  return network.finish(network.dense(hidden, 100, 10), 'lenet-300-100');
}

function lenet5(): Uint8Array {
  const network = new OnnxNetwork();
  const first = network.pool(
    network.conv(network.graph.input('x', 'float32', ['n', 1, 28, 28]), 5, 1, 20, { bias: true }),
  );
  const second = network.pool(network.conv(first, 5, 20, 50, { bias: true }));
  const hidden = network.relu(network.dense(network.graph.op('Flatten', [second], { axis: 1 }), 800, 500));
  return network.finish(network.dense(hidden, 500, 10), 'lenet-5');
}

/** He et al. 2015 (arXiv 1512.03385), section 4.2, n = 3, with projection shortcuts (option B). */
const RESNET_STAGES = [16, 32, 64] as const;

function resnet20(): Uint8Array {
  const network = new OnnxNetwork();
  let x = network.relu(
    network.batchNorm(network.conv(network.graph.input('x', 'float32', ['n', 3, 32, 32]), 3, 3, 16, { pad: 1 }), 16),
  );
  let channels = 16;
  for (const width of RESNET_STAGES) {
    for (let block = 0; block < 3; block++) {
      const stride = width !== channels ? 2 : 1;
      const first = network.relu(network.batchNorm(network.conv(x, 3, channels, width, { pad: 1, stride }), width));
      const second = network.batchNorm(network.conv(first, 3, width, width, { pad: 1 }), width);
      const shortcut = stride === 2 ? network.conv(x, 1, channels, width, { stride }) : x;
      x = network.relu(network.graph.op('Add', [second, shortcut]));
      channels = width;
    }
  }
  const pooled = network.graph.op('Flatten', [network.graph.op('GlobalAveragePool', [x])], { axis: 1 });
  return network.finish(network.dense(pooled, 64, 10), 'resnet-20');
}

class HandNetwork {
  readonly weights: TfVariable[] = [];
  readonly statistics: TfVariable[] = [];

  dense(inputs: number, outputs: number): (x: TfTensor) => TfTensor {
    const [w, b] = [this.#weight([inputs, outputs], inputs), this.#vector(this.weights, outputs, 0)];
    return (x) => nn.biasAdd(nn.matMul(x, w), b);
  }

  conv(
    kernel: number,
    inputs: number,
    outputs: number,
    { stride = 1, pad = 0, bias = false }: { stride?: number; pad?: number; bias?: boolean } = {},
  ): (x: TfTensor) => TfTensor {
    const w = this.#weight([kernel, kernel, inputs, outputs], inputs * kernel ** 2);
    const b = bias ? this.#vector(this.weights, outputs, 0) : null;
    const options = { strides: [stride, stride], pads: [pad, pad, pad, pad] };
    return (x) => (b ? nn.biasAdd(nn.conv(x, w, options), b) : nn.conv(x, w, options));
  }

  batchNorm(channels: number): (x: TfTensor) => TfTensor {
    const [scale, bias] = [this.#vector(this.weights, channels, 1), this.#vector(this.weights, channels, 0)];
    const [mean, variance] = [this.#vector(this.statistics, channels, 0), this.#vector(this.statistics, channels, 1)];
    return (x) => {
      const result = nn.batchNormTraining(x, scale, bias, 1e-3);
      mean.assign(blend(mean, result.mean));
      variance.assign(blend(variance, result.variance));
      return result.y;
    };
  }

  #weight(dims: number[], fanIn: number): TfVariable {
    const variable = tf.variable(tf.tensor(initial(dims, fanIn), dims));
    this.weights.push(variable);
    return variable;
  }

  #vector(list: TfVariable[], length: number, value: number): TfVariable {
    const variable = tf.variable(tf.fill([length], value), list === this.weights);
    list.push(variable);
    return variable;
  }
}

function blend(old: TfVariable, value: TfTensor): TfTensor {
  return tf.add(tf.mul(old, 0.9), tf.mul(value, 0.1));
}

const pool = (x: TfTensor) => nn.maxPool(x, { kernel: [2, 2], strides: [2, 2] });

function lenet300ByHand(): HandWritten {
  const network = new HandNetwork();
  const layers = [network.dense(784, 300), network.dense(300, 100), network.dense(100, 10)] as const;
  return {
    ...lists(network),
    logits: (x) => layers[2](nn.relu(layers[1](nn.relu(layers[0](tf.reshape(x, [-1, 784])))))),
  };
}

function lenet5ByHand(): HandWritten {
  const network = new HandNetwork();
  const [first, second] = [network.conv(5, 1, 20, { bias: true }), network.conv(5, 20, 50, { bias: true })];
  const [third, fourth] = [network.dense(800, 500), network.dense(500, 10)];
  return {
    ...lists(network),
    logits: (x) => fourth(nn.relu(third(tf.reshape(pool(second(pool(first(x)))), [-1, 800])))),
  };
}

function resnet20ByHand(): HandWritten {
  const network = new HandNetwork();
  const stem = [network.conv(3, 3, 16, { pad: 1 }), network.batchNorm(16)] as const;
  let channels = 16;
  const blocks = RESNET_STAGES.flatMap((width) =>
    [0, 1, 2].map(() => {
      const stride = width !== channels ? 2 : 1;
      const parts = [
        network.conv(3, channels, width, { pad: 1, stride }),
        network.batchNorm(width),
        network.conv(3, width, width, { pad: 1 }),
        network.batchNorm(width),
      ] as const;
      const shortcut = stride === 2 ? network.conv(1, channels, width, { stride }) : (x: TfTensor) => x;
      channels = width;
      return (x: TfTensor) => nn.relu(tf.add(parts[3](parts[2](nn.relu(parts[1](parts[0](x))))), shortcut(x)));
    }),
  );
  const last = network.dense(64, 10);
  return {
    ...lists(network),
    logits: (x) =>
      last(
        tf.mean(
          blocks.reduce((y, block) => block(y), nn.relu(stem[1](stem[0](x)))),
          [1, 2],
        ),
      ),
  };
}

function lists({ weights, statistics }: HandNetwork): Pick<HandWritten, 'weights' | 'statistics'> {
  return { weights, statistics };
}
