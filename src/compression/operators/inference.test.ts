import { describe, expect, it } from 'vitest';
import { tensor, modelOf, value } from '../../../test/support/graphs.ts';
import { makeNode } from '../ir/edit.ts';
import { inferShapes } from '../graph/infer.ts';
import type { Dim, Node, Tensor } from '../ir/types.ts';

/** Type of `y` where `x` has this shape. */
function shapeOfY(
  shape: readonly Dim[] | null,
  nodes: readonly Node[],
  initializers: readonly Tensor[] = [],
  opset = 18,
): readonly Dim[] | null | undefined {
  return inferShapes(
    modelOf({ nodes, initializers, inputs: [value('x', shape)], outputs: [value('y', null)], opset }),
  ).typeOf('y')?.shape;
}

const int64 = (name: string, values: readonly number[], dims: readonly number[] = [values.length]): Tensor =>
  tensor(name, dims, values, 'int64');

describe('shapes with open dimensions', () => {
  it('follows a batch size through the arithmetic of a flattening export', () => {
    const nodes = [
      makeNode('Shape', ['x'], ['s']),
      makeNode('Gather', ['s', 'zero'], ['n'], { axis: 0 }),
      makeNode('Unsqueeze', ['n', 'axes'], ['n1']),
      makeNode('Concat', ['n1', 'rest'], ['to'], { axis: 0 }),
      makeNode('Reshape', ['x', 'to'], ['y']),
    ];
    expect(shapeOfY(['N', 3, 4], nodes, [int64('zero', [0], []), int64('axes', [0]), int64('rest', [-1])])).toEqual([
      'N',
      12,
    ]);
  });

  it('cancels symbols where a dimension is inferred', () => {
    expect(
      shapeOfY(
        ['N', 'T', 64],
        [
          makeNode('Shape', ['x'], ['s']),
          makeNode('Slice', ['s', 'a', 'b'], ['two']),
          makeNode('Concat', ['two', 'heads'], ['to'], { axis: 0 }),
          makeNode('Reshape', ['x', 'to'], ['y']),
        ],
        [int64('a', [0]), int64('b', [2]), int64('heads', [8, -1])],
      ),
    ).toEqual(['N', 'T', 8, 8]);
  });

  it('chooses between known sizes as exporters of Expand do', () => {
    expect(
      shapeOfY(
        ['N', 5],
        [
          makeNode('Shape', ['x'], ['s']),
          makeNode('Where', ['mask', 's', 'other'], ['to']),
          makeNode('Expand', ['one', 'to'], ['y']),
        ],
        [tensor('mask', [2], [1, 0], 'bool'), int64('other', [7, 7]), tensor('one', [1, 1], [1])],
      ),
    ).toEqual(['N', 7]);
  });

  it.each<[string, Node, readonly Dim[], readonly Dim[]]>([
    ['Slice to the end', makeNode('Slice', ['x', 'zero', 'far'], ['y']), ['N', 4], ['N', 4]],
    ['Slice of an open axis', makeNode('Slice', ['x', 'zero', 'two'], ['y']), ['N', 4], [null, 4]],
    ['Concat of an open axis', makeNode('Concat', ['x', 'x'], ['y'], { axis: 0 }), ['N', 4], [null, 4]],
    ['Concat beside it', makeNode('Concat', ['x', 'x'], ['y'], { axis: 1 }), ['N', 4], ['N', 8]],
    ['Transpose', makeNode('Transpose', ['x'], ['y']), ['N', 4], [4, 'N']],
    ['Flatten', makeNode('Flatten', ['x'], ['y']), ['N', 4, 5], ['N', 20]],
    ['a reduction', makeNode('ReduceSum', ['x', 'zero'], ['y'], { keepdims: 0 }), ['N', 4], [4]],
    ['DepthToSpace', makeNode('DepthToSpace', ['x'], ['y'], { blocksize: 2 }), ['N', 8, 'h', 3], ['N', 2, null, 6]],
    ['Tile by one', makeNode('Tile', ['x', 'ones'], ['y']), ['N', 4], ['N', 4]],
    ['Pad beside it', makeNode('Pad', ['x', 'pads'], ['y']), ['N', 4], ['N', 7]],
  ])('%s', (_, node, shape, expected) => {
    expect(
      shapeOfY(
        shape,
        [node],
        [
          int64('zero', [0]),
          int64('two', [2]),
          int64('far', [2 ** 40]),
          int64('ones', [1, 1]),
          int64('pads', [0, 1, 0, 2]),
        ],
      ),
    ).toEqual(expected);
  });
});

describe('contradictions name the node', () => {
  it.each<[string, readonly Node[], string]>([
    ['Reshape', [makeNode('Reshape', ['x', 'wrong'], ['y'])], 'cannot be reshaped'],
    ['Squeeze', [makeNode('Squeeze', ['x', 'zero'], ['y'])], 'cannot be squeezed'],
    [
      'Concat',
      [makeNode('Flatten', ['x'], ['f'], { axis: 0 }), makeNode('Concat', ['x', 'f'], ['y'], { axis: 0 })],
      'should be equal',
    ],
    ['Split', [makeNode('Split', ['x', 'wrong'], ['y', 'z'])], 'do not make up'],
    ['Slice', [makeNode('Slice', ['x', 'zero', 'wrong'], ['y'])], 'differ in length'],
    ['Transpose', [makeNode('Transpose', ['x'], ['y'], { perm: [0, 0] })], 'twice'],
    ['ReduceSum', [makeNode('ReduceSum', ['x', 'nine'], ['y'])], 'outside'],
    ['Add', [makeNode('Flatten', ['x'], ['f'], { axis: 0 }), makeNode('Add', ['x', 'f'], ['y'])], 'broadcast'],
  ])('%s', (type, nodes, message) => {
    const initializers = [int64('wrong', [5, 2]), int64('zero', [0]), int64('nine', [9])];
    expect(() => shapeOfY([2, 3], nodes, initializers)).toThrow(new RegExp(`${type}.*${message}`));
  });
});

describe('Attention that the standard and onnxruntime exclude', () => {
  const [four, three] = [
    [2, 2, 3, 4],
    [2, 3, 8],
  ];
  const infer = (
    shape: readonly number[],
    attributes: Record<string, number>,
    inputs: readonly string[] = ['q', 'k', 'v'],
    outputs: readonly string[] = ['y'],
    values = shape,
  ) =>
    inferShapes(
      modelOf({
        opset: 25,
        nodes: [makeNode('Attention', inputs, outputs, attributes)],
        outputs: [value('y', null)],
        inputs: [
          value('q', shape),
          value('k', shape),
          value('v', values),
          value('pk', [2, 2, 1, 4]),
          value('pv', [2, 2, 1, 4]),
          value('n', [2], 'int64'),
        ],
      }),
    ).typeOf('y')?.shape;

  it.each<[string, () => unknown, RegExp]>([
    ['a past of keys alone', () => infer(four, {}, ['q', 'k', 'v', '', 'pk']), /past_key and past_value go together/],
    ['lengths with a past', () => infer(four, {}, ['q', 'k', 'v', '', 'pk', 'pv', 'n']), /nonpad_kv_seqlen/],
    [
      'heads that cannot share',
      () => infer(three, { q_num_heads: 4, kv_num_heads: 3 }),
      /4 heads of queries cannot share 3/,
    ],
    ['rank 3 without heads', () => infer(three, {}), /q_num_heads and kv_num_heads/],
    [
      'heads that contradict the shape',
      () => infer(four, { q_num_heads: 4 }),
      /heads of queries and q_num_heads 2 and 4/,
    ],
    [
      'values of fewer heads than keys',
      () => infer(four, {}, undefined, undefined, [2, 1, 3, 4]),
      /heads of keys and values 2 and 1/,
    ],
    [
      'a stage of the scores beyond the last',
      () => infer(four, { qk_matmul_output_mode: 4 }, undefined, ['y', '', '', 's']),
      /qk_matmul_output_mode 4/,
    ],
    ['a window below none', () => infer(four, { left_window_size: -2 }), /left_window_size is -2/],
  ])('%s', (_, run, message) => {
    expect(run).toThrow(message);
  });

  it('takes heads that agree with the shape, and a mode that nobody asks for', () => {
    expect(infer(four, { q_num_heads: 2, kv_num_heads: 2, qk_matmul_output_mode: 7 })).toEqual(four);
  });
});
