import { describe, expect, it } from 'vitest';
import { halveChannels, maskChannels } from '../../../../test/support/masked-channels.ts';
import { floats, modelOf, runInOnnxRuntime, spread, tensor, value } from '../../../../test/support/graphs.ts';
import { GraphBuilder } from '../../formats/graph-builder.ts';
import { makeNode } from '../../ir/edit.ts';
import { elementCount } from '../../ir/tensor-data.ts';
import type { Dim, Model } from '../../ir/types.ts';
import { validateModel } from '../../ir/validate.ts';
import { removableChannels } from './removable.ts';
import { removeChannels } from './remove.ts';
import { fixShapeFactors } from './shape-factors.ts';

/** Layers of a case, written one by one; weights differ from each other. */
class Layers {
  readonly b = new GraphBuilder();
  private count = 0;

  weight(...dims: number[]): string {
    const seed = ++this.count;
    return this.b.weight(
      `w${seed}`,
      dims,
      spread(elementCount(dims), 1 + seed / 7).map((x) => x / Math.sqrt(elementCount(dims.slice(1)))),
    );
  }

  positive(size: number): string {
    return this.b.weight(
      `v${++this.count}`,
      [size],
      spread(size, 2).map((x) => 1 + x / 2),
    );
  }

  conv(x: string, from: number, to: number, { kernel = 3, groups = 1 } = {}): string {
    const pad = (kernel - 1) / 2;
    return this.b.op('Conv', [x, this.weight(to, from / groups, kernel, kernel), this.weight(to)], {
      pads: [pad, pad, pad, pad],
      group: groups,
    });
  }

  norm(x: string, size: number): string {
    return this.b.op('BatchNormalization', [
      x,
      this.positive(size),
      this.weight(size),
      this.weight(size),
      this.positive(size),
    ]);
  }

  relu(x: string): string {
    return this.b.op('Relu', [x]);
  }

  /** [n, c, ...] -> [n, classes]. */
  head(x: string, channels: number): string {
    return this.dense(this.b.op('Flatten', [this.b.op('GlobalAveragePool', [x])]), channels, 3);
  }

  dense(x: string, from: number, to: number): string {
    return this.b.op('Gemm', [x, this.weight(to, from), this.weight(to)], { transB: 1 });
  }
}

interface Case {
  readonly name: string;
  readonly input: readonly number[];
  /** Shape that the file declares; open axes. */
  readonly declared?: readonly Dim[];
  readonly build: (l: Layers, x: string) => string;
  /** Channels that can go, by group. */
  readonly groups: readonly number[];
}

const image = [2, 4, 6, 6];

const cases: readonly Case[] = [
  {
    name: 'convolution, normalization, classifier',
    input: image,
    groups: [8],
    build: (l, x) => l.head(l.relu(l.norm(l.conv(x, 4, 8), 8)), 8),
  },
  {
    name: 'a residual connection ties its two layers',
    input: image,
    groups: [8, 6],
    build: (l, x) => {
      const a = l.conv(x, 4, 8);
      return l.head(l.b.op('Add', [a, l.conv(l.relu(l.conv(a, 8, 6)), 6, 8)]), 8);
    },
  },
  {
    name: 'depthwise convolution follows its input',
    input: image,
    groups: [8, 6],
    build: (l, x) => l.head(l.conv(l.conv(l.conv(x, 4, 8), 8, 8, { groups: 8 }), 8, 6, { kernel: 1 }), 6),
  },
  {
    name: 'depthwise convolution with a multiplier',
    input: image,
    groups: [4],
    build: (l, x) => l.head(l.conv(l.conv(x, 4, 4), 4, 8, { groups: 4 }), 8),
  },
  {
    name: 'grouped convolution loses the same of each group',
    input: image,
    groups: [4, 4],
    build: (l, x) => l.head(l.conv(l.conv(x, 4, 8), 8, 8, { groups: 2 }), 8),
  },
  {
    name: 'shuffled groups',
    input: image,
    groups: [4, 6],
    build: (l, x) => {
      const parts = l.b.op('Reshape', [l.conv(x, 4, 8), l.b.ints([2, 2, 4, 6, 6])]);
      const shuffled = l.b.op('Reshape', [
        l.b.op('Transpose', [parts], { perm: [0, 2, 1, 3, 4] }),
        l.b.ints([2, 8, 6, 6]),
      ]);
      return l.head(l.conv(shuffled, 8, 6), 6);
    },
  },
  {
    name: 'joined branches, the input among them',
    input: image,
    groups: [3, 6, 8],
    build: (l, x) =>
      l.head(l.conv(l.norm(l.b.op('Concat', [x, l.conv(x, 4, 6), l.conv(x, 4, 8)], { axis: 1 }), 18), 18, 3), 3),
  },
  {
    name: 'parts of a layer, by equal and by unequal halves',
    input: image,
    groups: [3, 8, 8],
    build: (l, x) => {
      const [a, b] = l.b.ops('Split', [l.conv(x, 4, 8)], 2, { axis: 1, num_outputs: 2 });
      const [c, d] = l.b.ops('Split', [l.conv(x, 4, 8), l.b.ints([6, 2])], 2, { axis: 1 });
      return l.head(
        l.b.op('Add', [
          l.conv(l.b.op('Concat', [a, d], { axis: 1 }), 6, 3),
          l.conv(l.b.op('Concat', [b, c], { axis: 1 }), 10, 3),
        ]),
        3,
      );
    },
  },
  {
    name: 'a slice of the channels',
    input: image,
    groups: [3, 8],
    build: (l, x) => {
      const y = l.conv(x, 4, 8);
      return l.head(l.conv(l.b.op('Slice', [y, l.b.ints([2]), l.b.ints([7]), l.b.ints([1])]), 5, 3), 3);
    },
  },
  {
    name: 'channels of zeros put beside others (shortcut without a projection)',
    input: image,
    groups: [8],
    build: (l, x) => {
      const a = l.conv(x, 4, 5);
      return l.head(
        l.b.op('Add', [l.b.op('Pad', [a, l.b.ints([0, 1, 0, 0, 0, 2, 0, 0])]), l.conv(l.relu(a), 5, 8)]),
        8,
      );
    },
  },
  {
    name: 'maps of a flattened image go together',
    input: image,
    declared: ['n', 4, 6, 6],
    groups: [5, 7],
    build: (l, x) => l.dense(l.relu(l.dense(l.b.op('Flatten', [l.conv(x, 4, 5)]), 180, 7)), 7, 3),
  },
  {
    name: 'a reshape that copies and infers',
    input: image,
    declared: ['n', 4, 6, 6],
    groups: [5],
    build: (l, x) => l.dense(l.b.op('Reshape', [l.conv(x, 4, 5), l.b.ints([0, -1])]), 180, 3),
  },
  {
    name: 'a shape that the model computes',
    input: image,
    declared: ['n', 4, 'h', 'w'],
    groups: [8],
    build: (l, x) => {
      const y = l.conv(x, 4, 8);
      const shape = l.b.op('Shape', [y]);
      const part = (from: number, to: number) => l.b.op('Slice', [shape, l.b.ints([from]), l.b.ints([to])]);
      const rows = l.b.op('Reshape', [
        y,
        l.b.op('Concat', [part(0, 1), l.b.ints([8]), l.b.op('Mul', [part(2, 3), part(3, 4)])], { axis: 0 }),
      ]);
      return l.dense(l.b.op('ReduceMean', [rows, l.b.ints([2])], { keepdims: 0 }), 8, 3);
    },
  },
  {
    name: 'squeeze and excitation',
    input: image,
    groups: [8, 4],
    build: (l, x) => {
      const y = l.conv(x, 4, 8);
      const gate = l.b.op('Sigmoid', [
        l.conv(l.relu(l.conv(l.b.op('GlobalAveragePool', [y]), 8, 4, { kernel: 1 })), 4, 8, { kernel: 1 }),
      ]);
      return l.head(l.b.op('Mul', [y, gate]), 8);
    },
  },
  {
    name: 'transposed convolution, alone and in groups',
    input: image,
    groups: [8, 3, 3],
    build: (l, x) => {
      const up = l.b.op('ConvTranspose', [l.conv(x, 4, 8), l.weight(8, 6, 2, 2), l.weight(6)], { strides: [2, 2] });
      const grouped = l.b.op('ConvTranspose', [up, l.weight(6, 3, 2, 2)], { strides: [2, 2], group: 2 });
      return l.head(grouped, 6);
    },
  },
  {
    name: 'pixels from channels',
    input: image,
    groups: [3, 3],
    build: (l, x) => l.head(l.conv(l.b.op('DepthToSpace', [l.conv(x, 4, 12)], { blocksize: 2 }), 3, 3), 3),
  },
  {
    name: 'a matrix product with its weight transposed in the graph',
    input: [2, 5],
    groups: [6],
    build: (l, x) =>
      l.b.op('MatMul', [l.relu(l.b.op('MatMul', [x, l.b.op('Transpose', [l.weight(6, 5)])])), l.weight(6, 3)]),
  },
  {
    name: 'attention by products: positions within heads, hidden units',
    input: [2, 5, 8],
    declared: ['n', 's', 8],
    groups: [4, 4, 16],
    build: (l, x) => {
      const heads = (perm: number[]) =>
        l.b.op('Transpose', [l.b.op('Reshape', [l.b.op('MatMul', [x, l.weight(8, 8)]), l.b.ints([0, 0, 2, 4])])], {
          perm,
        });
      const scores = l.b.op('Softmax', [l.b.op('MatMul', [heads([0, 2, 1, 3]), heads([0, 2, 3, 1])])], { axis: -1 });
      const mixed = l.b.op('Reshape', [
        l.b.op('Transpose', [l.b.op('MatMul', [scores, heads([0, 2, 1, 3])])], { perm: [0, 2, 1, 3] }),
        l.b.ints([0, 0, 8]),
      ]);
      const y = l.b.op('Add', [x, l.b.op('MatMul', [mixed, l.weight(8, 8)])]);
      return l.b.op('MatMul', [
        l.b.op('Gelu', [l.b.op('Add', [l.b.op('MatMul', [y, l.weight(8, 16)]), l.weight(16)])]),
        l.weight(16, 3),
      ]);
    },
  },
  {
    name: 'Einstein sums',
    input: [2, 5, 4],
    groups: [6],
    build: (l, x) =>
      l.b.op('Einsum', [l.b.op('Einsum', [x, l.weight(4, 6)], { equation: 'bsi,ih->bsh' }), l.weight(3, 6)], {
        equation: '...h,oh->...o',
      }),
  },
  {
    name: 'an embedding',
    input: [2, 5],
    groups: [6],
    build: (l, x) =>
      l.b.op('MatMul', [
        l.b.op('Gather', [
          l.weight(9, 6),
          l.b.op('Cast', [l.b.op('Abs', [l.b.op('Mul', [x, l.b.scalar(8)])])], { to: 7 }),
        ]),
        l.weight(6, 3),
      ]),
  },
  {
    name: 'channels chosen by constant indices',
    input: image,
    groups: [3, 8],
    build: (l, x) =>
      l.head(l.conv(l.b.op('Gather', [l.conv(x, 4, 8), l.b.ints([5, 1, -1, 0, 4])], { axis: 1 }), 5, 3), 3),
  },
  {
    name: 'a vector per channel, spread over positions',
    input: image,
    declared: ['n', 4, 'h', 'w'],
    groups: [8],
    build: (l, x) => {
      const y = l.conv(x, 4, 8);
      return l.head(l.b.op('Mul', [y, l.b.op('Expand', [l.weight(8, 1, 1), l.b.op('Shape', [y])])]), 8);
    },
  },
  {
    name: 'resized maps with given sizes',
    input: image,
    groups: [3, 8],
    build: (l, x) =>
      l.head(
        l.conv(l.b.op('Resize', [l.conv(x, 4, 8), '', '', l.b.ints([2, 8, 12, 9])], { mode: 'nearest' }), 8, 3),
        3,
      ),
  },
];

const modelFor = ({ input, declared = input, build }: Case): Model => {
  const layers = new Layers();
  const x = layers.b.input('x', 'float32', declared);
  layers.b.output('y', build(layers, x), 'float32', null);
  return layers.b.build('channels', 'test');
};

describe('channels that are removed', () => {
  it.each(cases)('$name', async (example) => {
    const model = modelFor(example);
    const { model: smaller, map, groups, gone } = halveChannels(model);
    expect(groups.map(({ units }) => units.length).sort(), groups.map(({ names }) => names[0]).join()).toEqual(
      [...example.groups].sort(),
    );
    expect(gone.size).toBe(example.groups.reduce((sum, size) => sum + Math.floor(size / 2), 0));
    validateModel(smaller);
    const feeds = { x: floats(example.input) };
    const [expected, actual] = [
      await runInOnnxRuntime(maskChannels(model, map, gone), feeds),
      await runInOnnxRuntime(smaller, feeds),
    ];
    const [before, after] = [expected.get('y')!, actual.get('y')!];
    expect(after.dims).toEqual(before.dims);
    // Sums in another order: float32 rounding.
    Array.from(before.data, (y, i) => {
      expect(Number(after.data[i])).toBeCloseTo(Number(y), 5);
    });
  });
});

describe('recurrent layers', () => {
  const hidden = 6;
  it.each([
    ['LSTM', 4],
    ['GRU', 3],
    ['RNN', 1],
  ] as const)('%s, both directions, with initial states', async (kind, gates) => {
    const l = new Layers();
    const x = l.b.input('x', 'float32', ['s', 'n', 4]);
    const states =
      kind === 'LSTM'
        ? [l.weight(2, 1, hidden), l.weight(2, 1, hidden), l.weight(2, 3 * hidden)]
        : [l.weight(2, 1, hidden)];
    const [y] = l.b.ops(
      kind,
      [
        x,
        l.weight(2, gates * hidden, 4),
        l.weight(2, gates * hidden, hidden),
        l.weight(2, 2 * gates * hidden),
        '',
        ...states,
      ],
      1,
      { hidden_size: hidden, direction: 'bidirectional' },
    );
    const rows = l.b.op('Reshape', [l.b.op('Transpose', [y], { perm: [0, 2, 1, 3] }), l.b.ints([0, 0, 2 * hidden])]);
    l.b.output('y', l.b.op('MatMul', [rows, l.weight(2 * hidden, 3)]), 'float32', null);
    const model = l.b.build('channels', 'test');
    const { model: smaller, map, groups, gone } = halveChannels(model);
    expect(groups.map(({ units }) => units.length)).toEqual([hidden]);
    const feeds = { x: floats([3, 1, 4]) };
    const [expected, actual] = [
      await runInOnnxRuntime(maskChannels(model, map, gone), feeds),
      await runInOnnxRuntime(smaller, feeds),
    ];
    Array.from(expected.get('y')!.data, (v, i) => {
      expect(Number(actual.get('y')!.data[i])).toBeCloseTo(Number(v), 5);
    });
  });
});

describe('channels that stay', () => {
  const groupsOf = (build: Case['build'], input = image) =>
    removableChannels(modelFor({ name: '', input, groups: [], build })).groups.map(({ units }) => units.length);

  it("those of the model's outputs, and of layers added to its input", () => {
    expect(groupsOf((l, x) => l.conv(x, 4, 8))).toEqual([]);
    expect(groupsOf((l, x) => l.head(l.b.op('Add', [x, l.conv(x, 4, 4)]), 4))).toEqual([]);
  });

  it('those that an operator computes along, or that none has a rule for, by name of the node', () => {
    expect(groupsOf((l, x) => l.head(l.b.op('Softmax', [l.conv(x, 4, 8)], { axis: 1 }), 8))).toEqual([]);
    const model = modelFor({
      name: '',
      input: image,
      groups: [],
      build: (l, x) =>
        l.head(
          l.b.op(
            'ScatterND',
            [l.conv(x, 4, 8), l.b.weight('at', [1, 1], [0], 'int64'), l.weight(1, 8, 6, 6)],
            {},
            'scatter',
          ),
          8,
        ),
    });
    const { map, groups } = removableChannels(model);
    expect(groups).toEqual([]);
    expect([...map.made].flatMap((axis) => [...axis].map((unit) => map.units.causeOf(unit)))).toContain(
      'node "scatter" (ScatterND)',
    );
  });

  it('those of matrices that are settings of a layer', () => {
    const bank = (l: Layers, x: string, w: string) => l.b.op('MatMul', [l.b.op('MatMul', [x, w]), l.weight(6, 3)]);
    expect(groupsOf((l, x) => bank(l, x, l.b.setting('bank', [4, 6], spread(24))), [2, 4])).toEqual([]);
    expect(groupsOf((l, x) => bank(l, x, l.weight(4, 6)), [2, 4])).toEqual([6]);
  });

  it('those that a branch reads', () => {
    const branch = {
      name: 'b',
      nodes: [makeNode('Relu', ['c'], ['r'])],
      initializers: new Map(),
      inputs: [],
      outputs: [value('r', null)],
      valueInfos: [],
    };
    const model = modelOf({
      nodes: [
        makeNode('Conv', ['x', 'w'], ['c']),
        makeNode('If', ['q'], ['y'], {
          then_branch: { kind: 'graph', value: branch },
          else_branch: { kind: 'graph', value: branch },
        }),
      ],
      initializers: [tensor('w', [8, 4, 1, 1], spread(32))],
      inputs: [value('x', image), value('q', [], 'bool')],
      outputs: [value('y', null)],
    });
    expect(removableChannels(model).groups).toEqual([]);
  });
});

it('attention keeps the factor that it computes from the width of its heads', async () => {
  const l = new Layers();
  const x = l.b.input('x', 'float32', ['n', 's', 8]);
  const heads = (perm: number[]) =>
    l.b.op('Transpose', [l.b.op('Reshape', [l.b.op('MatMul', [x, l.weight(8, 8)]), l.b.ints([0, 0, 2, 4])])], { perm });
  const query = heads([0, 2, 1, 3]);
  const width = l.b.op('Gather', [l.b.op('Shape', [query]), l.b.ints([3])]);
  const scores = l.b.op('Div', [
    l.b.op('MatMul', [query, heads([0, 2, 3, 1])]),
    l.b.op('Sqrt', [l.b.op('Cast', [width], { to: 1 })]),
  ]);
  l.b.output('y', l.b.op('MatMul', [l.b.op('Softmax', [scores], { axis: -1 }), heads([0, 2, 1, 3])]), 'float32', null);
  const model = fixShapeFactors(l.b.build('channels', 'test'));
  const { model: smaller, map, groups, gone } = halveChannels(model);
  expect(groups.map(({ units }) => units.length)).toEqual([4]); // what the values have is the output's
  const feeds = { x: floats([2, 5, 8]) };
  const [expected, actual] = [
    await runInOnnxRuntime(maskChannels(model, map, gone), feeds),
    await runInOnnxRuntime(smaller, feeds),
  ];
  Array.from(expected.get('y')!.data, (y, at) => {
    expect(Number(actual.get('y')!.data[at])).toBeCloseTo(Number(y), 5);
  });
});

it('a constant that two layers share stays one where they lose the same channels, else it is parted', async () => {
  const l = new Layers();
  const x = l.b.input('x', 'float32', image);
  const bias = l.weight(8);
  const layer = (input: string, from: number) => l.b.op('Conv', [input, l.weight(8, from, 1, 1), bias]);
  l.b.output('y', l.head(layer(layer(x, 4), 8), 8), 'float32', null);
  const model = l.b.build('channels', 'test');
  const halved = halveChannels(model);
  expect(halved.groups).toHaveLength(2);
  expect(halved.model.graph.initializers.get(bias)!.dims).toEqual([4]);
  const gone = new Set(halved.groups[0]!.units.slice(0, 3));
  const { model: smaller, kept } = removeChannels(model, halved.map, gone);
  expect(kept.has(bias)).toBe(false);
  expect(
    [...smaller.graph.initializers.values()].filter(({ name }) => name.startsWith(bias)).map(({ dims }) => dims),
  ).toEqual([[8], [5]]);
  const feeds = { x: floats(image) };
  const [expected, actual] = [
    await runInOnnxRuntime(maskChannels(model, halved.map, gone), feeds),
    await runInOnnxRuntime(smaller, feeds),
  ];
  Array.from(expected.get('y')!.data, (y, at) => {
    expect(Number(actual.get('y')!.data[at])).toBeCloseTo(Number(y), 5);
  });
});
