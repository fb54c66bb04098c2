import { describe, expect, it } from 'vitest';
import { modelOf, spread, tensor, value } from '../../../test/support/graphs.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import type { Model } from '../ir/types.ts';
import { measureModels } from './measure.ts';
import { instructionSets, processor } from './processor.ts';
import { productsSaturate } from './saturation-probe.ts';

const [K, N] = [32, 8];
const float: Model = modelOf({
  nodes: [
    makeNode('Sigmoid', ['x'], ['h']),
    makeNode('Add', ['h', 'one'], ['a']),
    makeNode('MatMul', ['a', 'w'], ['y']),
  ],
  initializers: [
    tensor('one', [], [1]),
    tensor(
      'w',
      [K, N],
      spread(K * N).map((w) => 0.9 + 0.1 * w),
    ),
  ],
  inputs: [value('x', ['n', K])],
  outputs: [value('y', ['n', N])],
});
/** The same with codes of a scale: `size` is the largest code. */
function integers(size: number): Model {
  const codes = spread(K * N).map((w) => Math.round((0.9 + 0.1 * w) * size));
  const nodes = [
    makeNode('Sigmoid', ['x'], ['h']),
    makeNode('Add', ['h', 'one'], ['a']),
    makeNode('DynamicQuantizeLinear', ['a'], ['q', 's', 'z']),
    makeNode('MatMulInteger', ['q', 'b', 'z'], ['sums']),
    makeNode('Cast', ['sums'], ['floats'], { to: 1 }),
    makeNode('Mul', ['s', 'scale'], ['factor']),
    makeNode('Mul', ['floats', 'factor'], ['y']),
  ];
  return modelOf({
    nodes,
    initializers: [tensor('one', [], [1]), tensor('b', [K, N], codes, 'int8'), tensor('scale', [], [1 / size])],
    inputs: [value('x', ['n', K])],
    outputs: [value('y', ['n', N])],
  });
}

describe('fidelity by exact arithmetic', () => {
  it('stands beside the measured one, and differs where this processor saturates', async () => {
    const [original, wide, narrow] = await measureModels({
      original: writeOnnx(float),
      candidates: [127, 63].map((size) => writeOnnx(integers(size))),
      dataset: null,
      transform: {},
      seed: 1,
      latencyBudgetMs: 1,
    });
    expect(original!.fidelity.exact).toBeNull();
    expect(narrow!.fidelity.exact).toMatchObject({
      sqnrDb: narrow!.fidelity.sqnrDb,
      maxAbsError: narrow!.fidelity.maxAbsError,
      saturatingProducts: 0,
    });
    expect(wide!.fidelity.exact).toMatchObject({ saturatingProducts: 1 });
    expect(wide!.fidelity.exact!.sqnrDb!).toBeGreaterThan(35);
    if (await productsSaturate()) expect(wide!.fidelity.sqnrDb!).toBeLessThan(20);
    else expect(wide!.fidelity.sqnrDb!).toBeCloseTo(wide!.fidelity.exact!.sqnrDb!, 3);
  });

  it('is against the exact original where that saturates itself', async () => {
    const bytes = writeOnnx(integers(127));
    const [original, same] = await measureModels({
      original: bytes,
      candidates: [bytes],
      dataset: null,
      transform: {},
      seed: 1,
      latencyBudgetMs: 1,
    });
    for (const { fidelity } of [original!, same!])
      expect(fidelity).toMatchObject({ sqnrDb: null, exact: { sqnrDb: null, maxAbsError: 0, saturatingProducts: 1 } });
  });
});

describe('the processor', () => {
  it('is named with what kernels are chosen by', async () => {
    const [, measured] = await measureModels({
      original: writeOnnx(float),
      candidates: [writeOnnx(float)],
      dataset: null,
      transform: {},
      seed: 1,
      latencyBudgetMs: 1,
    });
    const { name, instructionSets: sets } = processor();
    expect(measured!.latencyMs).toMatchObject({ processor: name, instructionSets: sets });
    expect(name).not.toBe('');
    if (sets.includes('avx512-vnni')) expect(await productsSaturate()).toBe(false);
    else if (sets.includes('avx2') && !sets.includes('avx-vnni')) expect(await productsSaturate()).toBe(true);
  });

  it('has its instruction sets told from flags', () => {
    expect(instructionSets(new Set(['sse2', 'avx2', 'fma']))).toEqual(['avx2']);
    expect(instructionSets(new Set(['avx2', 'avx512f', 'avx512bw', 'avx512_vnni', 'amx_int8']))).toEqual([
      'avx2',
      'avx512',
      'avx512-vnni',
      'amx-int8',
    ]);
    expect(instructionSets(new Set(['fp', 'asimd', 'asimddp']))).toEqual(['neon', 'dotprod']);
    expect(instructionSets(new Set())).toEqual([process.arch]);
  });
});
