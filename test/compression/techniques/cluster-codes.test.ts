/** Codes of clustered weights in every form in which a file holds them. */
import { describe, expect, it } from 'vitest';
import { seededNormal, seededRandom } from '../../../src/compression/data/random.ts';
import { expandCodebooks, sharedWeights, unpackCodes } from '../../../src/compression/graph/codebooks.ts';
import { makeNode } from '../../../src/compression/ir/edit.ts';
import { toHost } from '../../../src/compression/ir/tensor-data.ts';
import type { Model } from '../../../src/compression/ir/types.ts';
import { validateModel } from '../../../src/compression/ir/validate.ts';
import { countWeights } from '../../../src/compression/graph/weights.ts';
import { encodeWeight } from '../../../src/compression/weights/codebook.ts';
import { shareWeights } from '../../../src/compression/techniques/cluster/share.ts';
import { floats, modelOf, runInOnnxRuntime, tensor, value } from '../../support/graphs.ts';

function normalValues(count: number, seed: number): Float32Array {
  const normal = seededNormal(seed);
  return Float32Array.from({ length: count }, normal);
}

/** Codes in the dims of a weight of `count` numbers, `zeros` of which are 0. */
function weightOf(count: number, zeros: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  return normalValues(count, seed).map((each) => (random() < zeros ? 0 : each));
}

function product(weight: ReturnType<typeof tensor>, opset: number): Model {
  return modelOf({
    nodes: [makeNode('MatMul', ['x', 'w'], ['y'])],
    initializers: [weight],
    inputs: [value('x', ['n', weight.dims[0]!])],
    outputs: [value('y', ['n', weight.dims[1]!])],
    opset,
  });
}

describe.each([1, 2, 3, 4, 5, 6, 7, 8])('codes of %i bits', (bits) => {
  it.each([
    [0, 11],
    [0, 17],
    [0.95, 13],
    [0.95, 21],
    [0.9995, 11],
    [0, 9],
  ])('a share of %f zeros, opset %i: onnxruntime unpacks the very values', async (zeros, opset) => {
    const dims = opset === 17 ? [64, 61] : [67, 61]; // a number of elements that fills bytes, and one that does not
    const weight = tensor('w', dims, weightOf(dims[0]! * dims[1]!, zeros, bits));
    const coded = encodeWeight(weight, {
      clusters: 2 ** bits,
      init: 'linear',
      pruned: zeros > 0,
      random: seededRandom(1),
    })!;
    const before = product(weight, opset);
    const { model } = shareWeights(before, new Map([[weight, coded]]));
    validateModel(model);
    const expected = Array.from(coded.codes, (code) => (toHost(coded.values).data as Float32Array)[code]!);
    const identity = Float32Array.from({ length: dims[0]! ** 2 }, (_, i) => (i % (dims[0]! + 1) === 0 ? 1 : 0));
    const { data } = (await runInOnnxRuntime(model, { x: floats([dims[0]!, dims[0]!], identity) })).get('y')!;
    expect(Array.from(data as ArrayLike<number>)).toEqual(expected);
    for (const graph of [expandCodebooks(model.graph), expandCodebooks(unpackCodes(model.graph))]) {
      expect([...graph.initializers.keys()]).toEqual(['w']);
      expect(Array.from(toHost(graph.initializers.get('w')!).data as Float32Array)).toEqual(expected);
      expect(graph.nodes.map(({ opType }) => opType)).toEqual(['MatMul']);
    }
    expect(unpackCodes(model.graph).nodes.map(({ opType }) => opType)).toEqual(['Gather', 'MatMul']);
    expect(countWeights(model.graph)).toEqual(
      countWeights({ ...before.graph, initializers: new Map([['w', tensor('w', dims, expected)]]) }),
    );
    expect(sharedWeights(model.graph).get('w')!.codebook.dims[0]).toBeLessThanOrEqual(2 ** bits);
  });
});

describe('codebooks', () => {
  it('zeros keep their own code if pruning made them or if they are many', () => {
    const book = (zeros: number, pruned: boolean) => {
      const coded = encodeWeight(tensor('w', [40, 50], weightOf(2000, zeros, 5)), {
        clusters: 8,
        init: 'density',
        pruned,
        random: seededRandom(1),
      })!;
      return [
        coded.keepsZeros,
        coded.values.dims[0],
        Array.from(toHost(coded.values).data as Float32Array).includes(0),
      ];
    };
    expect(book(0.3, false)).toEqual([true, 8, true]);
    expect(book(0.02, false)).toEqual([false, 8, false]);
    expect(book(0.02, true)).toEqual([true, 8, true]);
    expect(book(0, true)).toEqual([false, 8, false]);
  });

  it('a weight of zeros alone, of either sign, has one value', () => {
    const coded = encodeWeight(tensor('w', [2, 200], new Float32Array(400).fill(-0)), {
      clusters: 4,
      init: 'linear',
      pruned: false,
      random: seededRandom(1),
    })!;
    expect([...(toHost(coded.values).data as Float32Array)]).toEqual([0]);
  });

  it('half floats and doubles have codebooks of their type; values that round to one are one', () => {
    for (const dtype of ['float16', 'bfloat16', 'float64'] as const) {
      const coded = encodeWeight(tensor('w', [50, 40], normalValues(2000, 4), dtype), {
        clusters: 200,
        init: 'density',
        pruned: false,
        random: seededRandom(1),
      })!;
      const values = Array.from(toHost(coded.values).data as Float32Array);
      expect(coded.values.dtype).toBe(dtype);
      expect(new Set(values).size).toBe(values.length);
      expect(Math.max(...coded.codes)).toBe(values.length - 1);
    }
  });

  it.each([NaN, Infinity, -Infinity])('a weight that holds %d has none', (odd) => {
    expect(
      encodeWeight(tensor('w', [1, 3], [1, odd, 2]), {
        clusters: 2,
        init: 'linear',
        pruned: false,
        random: seededRandom(1),
      }),
    ).toBeNull();
  });

  it('ignores what only looks like one: outside indices, too few codes, codes beyond the book, long runs', () => {
    const odd = (
      nodes: Parameters<typeof modelOf>[0]['nodes'],
      initializers: Parameters<typeof modelOf>[0]['initializers'],
    ) =>
      modelOf({
        nodes: [...nodes, makeNode('Gather', ['book', 'codes'], ['w'])],
        initializers: [tensor('book', [4], [1, 2, 3, 4]), ...initializers!],
        inputs: [value('x', ['n'], 'int64')],
        outputs: [value('y', null)],
      }).graph;
    const cases = [
      odd([makeNode('Identity', ['x'], ['codes'])], []),
      odd([], [tensor('codes', [3], [0, 1, 2], 'int64')]),
      odd([], [tensor('codes', [6], [0, 1, 2, 3, 4, 0], 'int64')]),
      odd(
        [
          makeNode('ConstantOfShape', ['size'], ['zeros'], {
            value: { kind: 'tensor', value: tensor('', [1], [0], 'int32') },
          }),
          makeNode('Identity', ['zeros'], ['codes']),
        ],
        [tensor('size', [1], [1e9], 'int64')],
      ),
    ];
    for (const graph of cases) expect(expandCodebooks(graph)).toBe(graph);
  });
});
