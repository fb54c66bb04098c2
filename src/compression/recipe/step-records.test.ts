import { expect, test } from 'vitest';
import { perceptron } from '../../../test/support/models.ts';
import { initialState, memoryCheckpoints } from '../../../test/support/steps.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { stepRecords, type FinishedStep } from './step-records.ts';

const KEY = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);
const model = perceptron({});
const finished: FinishedStep = {
  bytes: writeOnnx(model),
  state: {
    ...initialState(model),
    frozenZeros: new Set(['w1']),
    kept: new Map([['w1', [null, [0, 2]]]]),
    quantized: true,
  },
  warnings: [{ code: 'seen', message: 'once' }],
  evidence: {},
};

test('a finished step comes back under its key and no other', async () => {
  const store = memoryCheckpoints();
  await stepRecords(store, KEY).saveFinished(finished);
  const loaded = (await stepRecords(store, KEY).loadFinished())!;
  expect(Buffer.from(loaded.bytes).equals(finished.bytes)).toBe(true);
  expect(Buffer.from(writeOnnx(loaded.state.model)).equals(finished.bytes)).toBe(true);
  const { model: _model, ...state } = finished.state;
  expect(loaded).toMatchObject({ state, warnings: finished.warnings, evidence: {} });
  expect(await stepRecords(store, OTHER).loadFinished()).toBeNull();
  expect(await stepRecords(store, KEY).checkpoints.load()).toBeNull();
});

test("a technique's checkpoints come back under the step's key and no other", async () => {
  const store = memoryCheckpoints();
  await stepRecords(store, KEY).checkpoints.save(Buffer.from('half way'));
  expect(Buffer.from((await stepRecords(store, KEY).checkpoints.load())!).toString()).toBe('half way');
  expect(await stepRecords(store, OTHER).checkpoints.load()).toBeNull();
  expect(await stepRecords(store, KEY).loadFinished()).toBeNull();
});

test.each([
  ['nothing', ''],
  ['a record without a key', '\u0001half way'],
  ['a result without a key', '\u0002\u0002\u0000\u0000\u0000{}'],
  ['a record cut off', '\u0003ab'],
])('%s counts as absent', async (_name, text) => {
  const store = memoryCheckpoints();
  await store.save(Buffer.from(text));
  expect(await stepRecords(store, KEY).loadFinished()).toBeNull();
  expect(await stepRecords(store, KEY).checkpoints.load()).toBeNull();
});
