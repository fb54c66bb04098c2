import { beforeAll, describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { makeNode } from '../ir/edit.ts';
import { readOnnx } from '../formats/onnx/read.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import type { Model, Node } from '../ir/types.ts';
import { checkAgainstRuntime } from '../agreement/agreement.ts';
import { startEngine } from '../tensor/engine.ts';
import { olderStamp } from './older-stamp.ts';
import { openRuntime, withRuntime } from './session.ts';

beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
});

const OPSET_REFUSAL = 'Opset 28 is under development ... Current official support for domain ai.onnx is till opset 26.';

function newest(nodes: readonly Node[], irVersion = 14): Model {
  const model = modelOf({
    opset: 28,
    domains: { 'com.microsoft': 1 },
    nodes: [makeNode('Mul', ['x', 'w'], ['h']), ...nodes],
    initializers: [tensor('w', [4], [1, -2, 3, 0.5])],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
  });
  return { ...model, irVersion };
}

describe('a model newer than the runtime', () => {
  it('is opened as one of the versions that the runtime reads, and computes the same', async () => {
    const bytes = writeOnnx(newest([makeNode('Relu', ['h'], ['y'])]));
    const y = await withRuntime(
      bytes,
      async (runtime) =>
        (
          await runtime.run(
            new Map([['x', { dtype: 'float32' as const, shape: [1, 4], data: Float32Array.of(1, 1, -1, 4) }]]),
          )
        ).get('y')!,
    );
    expect([...y.data]).toEqual([1, 0, 0, 2]);
  });

  it('is trained, with a warning', async () => {
    const model = newest([makeNode('Relu', ['h'], ['y'])]);
    const { trainable, warnings = [] } = await checkAgainstRuntime(writeOnnx(model), model);
    expect(trainable).toBe(true);
    expect(warnings).toEqual([
      {
        code: 'newer-than-runtime',
        message: expect.stringMatching(/opset 28 and IR version 14, newer than what onnxruntime/),
      },
    ]);
  });

  it.each<[string, Node, RegExp]>([
    ['an operator that is newer', makeNode('SwiGLU', ['h', 'h'], ['y']), /SwiGLU/],
    [
      'an attribute that is newer',
      makeNode('SpaceToDepth', ['h'], ['y'], { blocksize: 1, mode: 'CRD' }),
      /Unrecognized attribute: mode/,
    ],
  ])('is refused where it holds %s', async (_, node, message) => {
    await expect(openRuntime(writeOnnx(newest([node])))).rejects.toThrow(message);
  });

  it('keeps all but the versions', () => {
    const model = newest([makeNode('Relu', ['h'], ['y'])], 8);
    const older = readOnnx(olderStamp(writeOnnx(model), OPSET_REFUSAL)!);
    expect([...older.opsets]).toEqual([
      ['', 26],
      ['com.microsoft', 1],
    ]);
    expect(older.irVersion).toBe(8);
    expect(writeOnnx({ ...older, opsets: model.opsets })).toEqual(writeOnnx(model));
  });

  it('is left as it is where something else is refused', () => {
    expect(olderStamp(writeOnnx(newest([])), 'Invalid model')).toBeNull();
  });
});
