/** Outputs that are not finite: the step's fault where the model before it gave finite ones, else the uploaded model's. */
import { expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { makeNode } from '../graph/edit.ts';
import type { Model } from '../graph/types.ts';
import { checkRuns } from './runtime-check.ts';

const product = (weight: number): Model => modelOf({
  nodes: [makeNode('MatMul', ['x', 'w'], ['y'])], initializers: [tensor('w', [2, 1], [1, weight])], inputs: [value('x', ['n', 2])], outputs: [value('y', ['n', 1])],
});
const check = (before: number, after: number): Promise<void> => checkRuns(writeOnnx(product(after)), { dataset: null, transform: {}, technique: 'quantize', before: product(before) });

it('finite outputs pass', () => expect(check(1, 2)).resolves.toBeUndefined());
it('made by the step', () => expect(check(1, NaN)).rejects.toMatchObject({ code: 'internal', message: expect.stringContaining('"y" of the model that quantize made') }));
it('as uploaded, with the weight', () => expect(check(NaN, NaN)).rejects.toMatchObject({ code: 'malformed-model', message: expect.stringMatching(/was not before quantize: 1 value is NaN in weight "w"/) }));
