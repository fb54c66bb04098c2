import { describe, expect, it } from 'vitest';
import { value } from '../../../../../../test/support/graphs.ts';
import { modelOf, tensor, spread } from '../../../../../../test/support/graphs.ts';
import { makeNode } from '../../../../ir/edit.ts';
import { planStatic } from '../plan.ts';
import { AVX2 } from './avx2.ts';
import { AVX512_VNNI } from './avx512-vnni.ts';
import { tableCosts, tablesOf } from './costs.ts';
import { layerOf } from './layer.ts';
import { predictedNs } from './table.ts';
import { timedCosts } from './timed.ts';

const conv = (group = 1) => makeNode('Conv', ['x', 'w'], ['y'], { group });
const dense = layerOf(conv(), [64, 64, 3, 3], 64 * 28 * 28, 64 * 28 * 28);
const narrow = layerOf(conv(), [32, 1, 3, 3], 28 * 28, 32 * 28 * 28);
const depthwise = layerOf(conv(32), [32, 1, 3, 3], 32 * 28 * 28, 32 * 28 * 28);

describe('layers', () => {
  it('are counted by hand', () => {
    expect(dense).toEqual({
      kind: 'spatial',
      counts: {
        calls: 1,
        macs: 64 * 64 * 9 * 784,
        paddedMacs: 64 * 64 * 9 * 784,
        unblockedMacs: 0,
        patches: 784 * 576,
        copies: 784 * 3,
        inputs: 50_176,
        outputs: 50_176,
        weights: 36_864,
      },
    });
    expect(narrow).toMatchObject({
      kind: 'narrow',
      counts: { macs: 225_792, unblockedMacs: 225_792, patches: 7056, copies: 2352 },
    });
    // by strides of 2
    expect(layerOf(conv(), [32, 16, 1, 1], 16 * 32 * 32, 32 * 16 * 16).counts).toMatchObject({
      patches: 4096,
      copies: 256,
    });
    expect([
      depthwise.kind,
      layerOf(conv(4), [16, 4, 3, 3], 1, 16).kind,
      layerOf(conv(), [16, 4, 1, 1], 1, 16).kind,
    ]).toEqual(['depthwise', 'grouped', 'pointwise']);
    expect(layerOf(makeNode('Gemm', [], [], { transB: 1 }), [10, 64], 64, 10)).toMatchObject({
      kind: 'row',
      counts: { macs: 640, paddedMacs: 1024, weights: 640 },
    });
    expect(layerOf(makeNode('MatMul', [], []), [64, 10], 640, 100)).toMatchObject({
      kind: 'rows',
      counts: { macs: 6400 },
    });
  });
});

describe('costs', () => {
  it.each([
    ['avx2', AVX2],
    ['avx512-vnni', AVX512_VNNI],
  ])('on %s: dense layers gain by integers, narrow and depthwise ones lose', (_, table) => {
    const gains = [dense, narrow, depthwise].map((layer) => tableCosts([table]).gainNs(conv(), layer));
    expect(gains.map(Math.sign)).toEqual([1, -1, -1]);
  });

  it('of a file for any processor are those of the one that gains least', () => {
    for (const layer of [dense, narrow, depthwise]) {
      const each = [AVX2, AVX512_VNNI].map(
        (table) => predictedNs(table, layer, 'float') - predictedNs(table, layer, 'int8'),
      );
      expect(tableCosts(tablesOf('any', [])).gainNs(conv(), layer)).toBe(Math.min(...each));
    }
  });

  it('come from the table of the target, or of this machine, if there is one', () => {
    expect(tablesOf('x86-avx2', ['neon'])).toEqual([AVX2]);
    expect(tablesOf('x86-vnni', ['avx2'])).toEqual([AVX512_VNNI]);
    expect(tablesOf('this-machine', ['avx2'])).toEqual([AVX2]);
    expect(tablesOf('this-machine', ['avx2', 'avx512', 'avx512-vnni'])).toEqual([AVX512_VNNI]);
    expect(tablesOf('this-machine', ['avx2', 'avx512'])).toEqual([]);
    expect(tablesOf('this-machine', ['neon', 'dotprod'])).toEqual([]);
  });

  it('are timed on this machine where there is no table', async () => {
    const model = modelOf({
      nodes: [
        makeNode('Conv', ['x', 'w'], ['h'], { pads: [1, 1, 1, 1] }),
        makeNode('Conv', ['h', 'v'], ['y'], { pads: [1, 1, 1, 1], group: 64 }),
      ],
      initializers: [tensor('w', [64, 64, 3, 3], spread(36_864)), tensor('v', [64, 1, 3, 3], spread(576))],
      inputs: [value('x', [1, 64, 28, 28])],
      outputs: [value('y', null)],
    });
    const plan = planStatic(model.graph, () => true);
    const costs = await timedCosts(
      model,
      plan,
      new Map(['x', 'h'].map((name) => [name, [1, 64, 28, 28]])),
      new AbortController().signal,
    );
    const [first, second] = model.graph.nodes.map((node) => costs.gainNs(node, dense));
    // 57 million multiply-accumulates against half a million, which integers do no faster
    expect(first!).toBeGreaterThan(second!);
    expect(second!).not.toBe(0);
  });
});
