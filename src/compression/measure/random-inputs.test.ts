/**
 * Inputs for models that do not take just any: sizes that they were traced at, indices into what only a run knows the
 * size of.
 */
import { describe, expect, test } from 'vitest';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../ir/edit.ts';
import type { Model } from '../ir/types.ts';
import { modelOf, spread, tensor, value } from '../../../test/support/graphs.ts';
import { randomInputs, type RandomInputs } from './random-inputs.ts';
import { openRuntime } from './session.ts';

const whole = (name: string, values: readonly number[], dims: readonly number[] = [values.length]) =>
  tensor(name, dims, values, 'int64');

async function inputsFor(
  model: Model,
): Promise<RandomInputs & { shapes: Record<string, readonly number[]>; numbers(name: string): number[] }> {
  const runtime = await openRuntime(writeOnnx(model));
  const found = await randomInputs(model, runtime, 1).finally(() => runtime.release());
  const feeds = found.make(0, found.minSamples);
  return {
    ...found,
    shapes: Object.fromEntries([...feeds].map(([name, { shape }]) => [name, shape])),
    numbers: (name) => Array.from(feeds.get(name)!.data as BigInt64Array, Number),
  };
}

/**
 * Attention's reshapes as an exporter that traces writes them: x [n, t, 8] -> [t, n * heads, 8 / heads] -> back, all
 * sizes constants; then added to x.
 */
function traced(n: number, t: number, heads = 4): Model {
  return modelOf({
    nodes: [
      makeNode('Transpose', ['x'], ['s'], { perm: [1, 0, 2] }),
      makeNode('Unsqueeze', ['t', 'first'], ['t1']),
      makeNode('Unsqueeze', ['rows', 'first'], ['rows1']),
      makeNode('Concat', ['t1', 'rows1', 'width'], ['shape'], { axis: 0 }),
      makeNode('Reshape', ['s', 'shape'], ['split']),
      makeNode('Softmax', ['split'], ['a'], { axis: -1 }),
      makeNode('Reshape', ['a', 'back'], ['joined']),
      makeNode('Transpose', ['joined'], ['d'], { perm: [1, 0, 2] }),
      makeNode('Add', ['x', 'd'], ['y']),
    ],
    initializers: [
      whole('first', [0]),
      whole('t', [t], []),
      whole('rows', [n * heads], []),
      whole('width', [8 / heads]),
      whole('back', [t, n, 8]),
    ],
    inputs: [value('x', ['n', 't', 8])],
    outputs: [value('y', null)],
  });
}

test.each([
  [1, 10],
  [2, 7],
  [3, 12],
  [5, 23],
])('a model traced with %i samples of length %i runs at these sizes', async (n, t) => {
  const { shapes, minSamples, maxSamples } = await inputsFor(traced(n, t));
  expect({ shapes, least: minSamples, most: maxSamples }).toEqual({ shapes: { x: [n, t, 8] }, least: n, most: n });
});

test('a model that takes any size is given one sample, and may be given many', async () => {
  const { minSamples, maxSamples } = await inputsFor(
    modelOf({
      nodes: [makeNode('Abs', ['x'], ['y'])],
      inputs: [value('x', ['n', 't', 8])],
      outputs: [value('y', null)],
    }),
  );
  expect(minSamples).toBe(1);
  expect(maxSamples).toBeGreaterThan(1);
});

describe('whole numbers', () => {
  const graphNetwork = modelOf({
    nodes: [
      makeNode('MatMul', ['x', 'w'], ['h']),
      makeNode('Gather', ['edges', 'from'], ['sources'], { axis: 0 }),
      makeNode('Gather', ['edges', 'to'], ['targets'], { axis: 0 }),
      makeNode('Gather', ['h', 'sources'], ['messages'], { axis: 0 }),
      makeNode('Unsqueeze', ['targets', 'last'], ['rows']),
      makeNode('Shape', ['messages'], ['shape']),
      makeNode('Expand', ['rows', 'shape'], ['places']),
      makeNode('ScatterElements', ['h', 'places', 'messages'], ['y'], { axis: 0, reduction: 'add' }),
    ],
    initializers: [tensor('w', [6, 4], spread(24)), whole('from', [0], []), whole('to', [1], []), whole('last', [1])],
    inputs: [value('x', ['nodes', 6]), value('edges', [2, 'count'], 'int64')],
    outputs: [value('y', null)],
  });

  test('that name nodes of a graph lie among its nodes', async () => {
    const { shapes, numbers } = await inputsFor(graphNetwork);
    expect(Math.max(...numbers('edges'))).toBeLessThan(shapes['x']![0]!);
  });

  test('use the whole of a table of known size, behind other operators and on another axis', async () => {
    const model = modelOf({
      nodes: [
        makeNode('Split', ['ids'], ['a', 'b'], { axis: 1 }),
        makeNode('Gather', ['table', 'b'], ['y'], { axis: 1 }),
      ],
      initializers: [tensor('table', [2, 50], spread(100))],
      inputs: [value('ids', ['n', 64], 'int64')],
      outputs: [value('y', null)],
    });
    const numbers = (await inputsFor(model)).numbers('ids');
    expect(Math.max(...numbers)).toBeLessThan(50);
    expect(Math.max(...numbers)).toBeGreaterThan(30); // of 64 numbers below 50, none above 30 once in 10^13
  });

  // Four rows, indices -4 to 3. Sixteen numbers that are 0 or 1 are not all the same, but once in 2^15.
  test.each([
    ['zeros', 3, 0],
    ['ones', -5, 1],
  ])('are %s where the graph adds %i to them before they index its last or first row', async (_, offset, expected) => {
    const model = modelOf({
      nodes: [makeNode('Add', ['ids', 'offset'], ['rows']), makeNode('Gather', ['table', 'rows'], ['y'])],
      initializers: [whole('offset', [offset]), tensor('table', [4, 2], spread(8))],
      inputs: [value('ids', [16], 'int64')],
      outputs: [value('y', null)],
    });
    expect((await inputsFor(model)).numbers('ids')).toEqual(new Array(16).fill(expected));
  });
});
