import { expect, test } from 'vitest';
import { hostStore } from './parameter-store.ts';
import { ParameterServer, type Contribution, type StalenessSettings } from './parameter-server.ts';
import type { Tensors } from './tensors.ts';
import { optimizerRule } from './update-rule.ts';

const one = (value: number): Tensors => new Map([['w', Float32Array.of(value)]]);
const NONE: Tensors = new Map();
const gradient = (value: number, samples = 1): Contribution => ({ gradient: one(value), statistics: NONE, samples });

/** w <- w - learningRate * g, from 0. */
function serverOf(settings: StalenessSettings = {}, workers: readonly string[] = ['a', 'b']) {
  const store = hostStore(one(0), optimizerRule({ optimizer: 'sgd', momentum: 0 }, one(0)));
  const server = new ParameterServer(store, settings);
  for (const worker of workers) server.join(worker);
  return { server, w: () => store.values().get('w')![0]! };
}

function applyAll(server: ParameterServer, learningRate = 1): string[] {
  const order: string[] = [];
  for (let next = server.ready(); next; next = server.ready()) {
    order.push(next.workers.join('+'));
    server.apply(next, { step: 0, learningRate });
  }
  return order;
}

test('the staleness of an update is the number of versions since its pull', () => {
  const { server, w } = serverOf();
  server.pull('a');
  expect(server.pull('b').version).toBe(0);
  // a: 0, a: 0, a: 0, then b: 3
  for (let i = 0; i < 3; i++) {
    if (i > 0) expect(server.pull('a').version).toBe(i);
    server.push('a', gradient(1));
    applyAll(server);
  }
  server.push('b', gradient(10));
  applyAll(server);
  expect(server.staleness()).toEqual({ histogram: [3, 0, 0, 1], mean: 0.75, max: 3 });
  expect(server.version).toBe(4);
  expect(w()).toBe(-13);
});

test('the rate over staleness: the gradient 3 versions late counts a third', () => {
  const { server, w } = serverOf({ scaleLearningRate: true });
  server.pull('a');
  server.pull('b');
  for (let i = 0; i < 3; i++) {
    if (i > 0) server.pull('a');
    server.push('a', gradient(0));
    applyAll(server);
  }
  server.push('b', gradient(3));
  applyAll(server);
  expect(w()).toBe(-1);
});

test('a pull sees the weights of its version, whatever comes later', () => {
  const { server } = serverOf();
  const before = server.pull('a');
  server.pull('b');
  server.push('b', gradient(1));
  applyAll(server);
  expect(before.values.get('w')![0]).toBe(0);
  expect(server.pull('b').values.get('w')![0]).toBe(-1);
});

test('bound 0: pushes wait for all and are averaged by samples, as in synchronous training', () => {
  const { server, w } = serverOf({ max: 0 });
  server.pull('a');
  server.pull('b');
  server.push('a', gradient(1, 3));
  expect(server.ready()).toBeNull();
  server.push('b', gradient(5, 1));
  expect(applyAll(server)).toEqual(['a+b']);
  expect(w()).toBe(-2);
  expect(server.staleness().histogram).toEqual([2]);
});

test('a worker at the bound holds up those that would leave it behind, until it pushes', () => {
  const { server } = serverOf({ max: 2 }, ['a', 'b', 'slow']);
  server.pull('slow');
  for (let i = 0; i < 2; i++) {
    server.pull('a');
    server.push('a', gradient(1));
    expect(applyAll(server)).toEqual(['a']);
  }
  server.pull('a');
  server.push('a', gradient(1));
  expect(server.ready()).toBeNull();
  server.push('slow', gradient(1));
  expect(applyAll(server)).toEqual(['slow', 'a']);
  expect(server.staleness()).toMatchObject({ histogram: [2, 1, 1] });
});

test('a worker that leaves holds nobody up', () => {
  const { server } = serverOf({ max: 0 });
  server.pull('a');
  server.pull('b');
  server.push('a', gradient(1));
  server.leave('b');
  expect(applyAll(server)).toEqual(['a']);
  expect(() => server.pull('b')).toThrow(/has not joined/);
});

test('statistics: one worker on time sets them, late ones add their share', () => {
  const statistics: Tensors = new Map([['mean', Float32Array.of(10)]]);
  const store = hostStore(one(0), optimizerRule({ optimizer: 'sgd', momentum: 0 }, one(0)), statistics);
  const server = new ParameterServer(store);
  const push = (worker: string, mean: number) => {
    server.push(worker, { ...gradient(0), statistics: new Map([['mean', Float32Array.of(mean)]]) });
    applyAll(server);
  };
  for (const worker of ['a', 'b']) server.join(worker);
  server.pull('a');
  server.pull('b');
  push('a', 12);
  expect(store.statistics().get('mean')![0]).toBe(12);
  push('b', 8); // one version late, 2 less than it pulled: half of it
  expect(store.statistics().get('mean')![0]).toBe(11);
});

test('calls out of order are errors that name the worker', () => {
  const { server } = serverOf();
  expect(() => server.push('a', gradient(1))).toThrow(/"a" pushes and has not pulled/);
  server.pull('a');
  expect(() => server.pull('a')).toThrow(/"a" pulls and owes a push/);
  expect(() => server.join('a')).toThrow(/"a" takes part already/);
});
