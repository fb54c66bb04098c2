/** Networks of other kinds than digits' and CIFAR's classifiers, as exporters write them. */
import { initial, OnnxNetwork } from './networks.ts';

export interface Architecture {
  readonly name: 'mobilenet-v2' | 'resnet-18' | 'transformer' | 'lstm';
  readonly batch: number;
  /** One sample in ONNX's order of axes. */
  readonly input: readonly number[];
  onnx(): Uint8Array;
}

export const ARCHITECTURES: readonly Architecture[] = [
  { name: 'mobilenet-v2', batch: 64, input: [3, 32, 32], onnx: mobileNet },
  { name: 'resnet-18', batch: 32, input: [3, 64, 64], onnx: resNet },
  { name: 'transformer', batch: 32, input: [128, 128], onnx: transformer },
  { name: 'lstm', batch: 64, input: [100, 128], onnx: lstm },
];

/** Sandler et al. 2018: [expansion, channels, repeats, stride], for small images. */
const INVERTED = [
  [1, 16, 1, 1],
  [6, 24, 2, 1],
  [6, 32, 3, 2],
  [6, 64, 3, 2],
  [6, 96, 2, 1],
] as const;

function mobileNet(): Uint8Array {
  const network = new OnnxNetwork();
  const relu6 = (x: string) => network.graph.op('Clip', [x, network.graph.scalar(0), network.graph.scalar(6)]);
  const unit = (x: string, kernel: number, inputs: number, outputs: number, stride: number, group: number) =>
    relu6(network.batchNorm(network.conv(x, kernel, inputs, outputs, { stride, pad: kernel >> 1, group }), outputs));
  let x = unit(network.graph.input('x', 'float32', ['n', 3, 32, 32]), 3, 3, 32, 1, 1);
  let channels = 32;
  for (const [expansion, width, repeats, first] of INVERTED) {
    for (let i = 0; i < repeats; i++) {
      const stride = i === 0 ? first : 1;
      const wide = channels * expansion;
      const expanded = expansion === 1 ? x : unit(x, 1, channels, wide, 1, 1);
      const projected = network.batchNorm(
        network.conv(unit(expanded, 3, wide, wide, stride, wide), 1, wide, width),
        width,
      );
      x = stride === 1 && channels === width ? network.graph.op('Add', [x, projected]) : projected;
      channels = width;
    }
  }
  const last = unit(x, 1, channels, 320, 1, 1);
  return network.finish(
    network.dense(network.graph.op('Flatten', [network.graph.op('GlobalAveragePool', [last])], { axis: 1 }), 320, 10),
    'mobilenet-v2',
  );
}

/** He et al. 2015, two blocks of 64, 128, 256 and 512 channels, on images of 64x64 with a 3x3 stem. */
function resNet(): Uint8Array {
  const network = new OnnxNetwork();
  let x = network.relu(
    network.batchNorm(
      network.conv(network.graph.input('x', 'float32', ['n', 3, 64, 64]), 3, 3, 64, { stride: 2, pad: 1 }),
      64,
    ),
  );
  let channels = 64;
  for (const width of [64, 128, 256, 512])
    for (let block = 0; block < 2; block++) {
      const stride = width !== channels ? 2 : 1;
      const first = network.relu(network.batchNorm(network.conv(x, 3, channels, width, { pad: 1, stride }), width));
      const second = network.batchNorm(network.conv(first, 3, width, width, { pad: 1 }), width);
      const shortcut = stride === 2 ? network.batchNorm(network.conv(x, 1, channels, width, { stride }), width) : x;
      x = network.relu(network.graph.op('Add', [second, shortcut]));
      channels = width;
    }
  return network.finish(
    network.dense(network.graph.op('Flatten', [network.graph.op('GlobalAveragePool', [x])], { axis: 1 }), 512, 10),
    'resnet-18',
  );
}

const [WIDTH, HEADS, LENGTH] = [128, 4, 128];

/** Vaswani et al. 2017, encoder: 4 layers, normalized after each sum; the mean of the tokens is classified. */
function transformer(): Uint8Array {
  const network = new OnnxNetwork();
  const { graph } = network;
  const linear = (x: string, inputs: number, outputs: number) =>
    graph.op('Add', [
      graph.op('MatMul', [x, graph.weight('w', [inputs, outputs], initial([inputs, outputs], inputs))]),
      graph.weight('b', [outputs], new Float32Array(outputs)),
    ]);
  const norm = (x: string) =>
    graph.op(
      'LayerNormalization',
      [
        x,
        graph.weight('scale', [WIDTH], new Float32Array(WIDTH).fill(1)),
        graph.weight('bias', [WIDTH], new Float32Array(WIDTH)),
      ],
      { axis: -1 },
    );
  const heads = (x: string, perm: readonly number[]) =>
    graph.op(
      'Transpose',
      [graph.op('Reshape', [linear(x, WIDTH, WIDTH), graph.ints([0, LENGTH, HEADS, WIDTH / HEADS])])],
      { perm },
    );
  let x = graph.input('x', 'float32', ['n', LENGTH, WIDTH]);
  for (let layer = 0; layer < 4; layer++) {
    const scores = graph.op('Mul', [
      graph.op('MatMul', [heads(x, [0, 2, 1, 3]), heads(x, [0, 2, 3, 1])]),
      graph.scalar(1 / Math.sqrt(WIDTH / HEADS)),
    ]);
    const mixed = graph.op(
      'Transpose',
      [graph.op('MatMul', [graph.op('Softmax', [scores], { axis: -1 }), heads(x, [0, 2, 1, 3])])],
      { perm: [0, 2, 1, 3] },
    );
    const attended = norm(
      graph.op('Add', [x, linear(graph.op('Reshape', [mixed, graph.ints([0, LENGTH, WIDTH])]), WIDTH, WIDTH)]),
    );
    x = norm(graph.op('Add', [attended, linear(network.relu(linear(attended, WIDTH, 4 * WIDTH)), 4 * WIDTH, WIDTH)]));
  }
  return network.finish(
    network.dense(graph.op('ReduceMean', [x, graph.ints([1])], { keepdims: 0 }), WIDTH, 10),
    'transformer',
  );
}

/** Hochreiter and Schmidhuber 1997, two layers of 128; the last state is classified. */
function lstm(): Uint8Array {
  const network = new OnnxNetwork();
  const { graph } = network;
  const layer = (x: string) =>
    graph.ops(
      'LSTM',
      [
        x,
        graph.weight('w', [1, 4 * WIDTH, WIDTH], initial([1, 4 * WIDTH, WIDTH], 2 * WIDTH)),
        graph.weight('r', [1, 4 * WIDTH, WIDTH], initial([1, 4 * WIDTH, WIDTH], 2 * WIDTH)),
        graph.weight('b', [1, 8 * WIDTH], new Float32Array(8 * WIDTH)),
      ],
      2,
      { hidden_size: WIDTH },
    );
  const steps = graph.op('Transpose', [graph.input('x', 'float32', ['n', 100, WIDTH])], { perm: [1, 0, 2] });
  const [first] = layer(steps);
  const [, last] = layer(graph.op('Squeeze', [first, graph.ints([1])]));
  return network.finish(network.dense(graph.op('Squeeze', [last, graph.ints([0])]), WIDTH, 10), 'lstm');
}
