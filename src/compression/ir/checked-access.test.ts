import { describe, expect, it, test } from 'vitest';
import {
  elementAt,
  entryOf,
  existing,
  inputName,
  itemOf,
  mapTuple,
  nth,
  outputName,
  tupleOf,
} from './checked-access.ts';
import { makeNode } from './edit.ts';
import { GraphError } from './graph-error.ts';

const node = makeNode('Clip', ['x', '', 'max'], ['y']);

describe('nth', () => {
  it('counts from the start, and with a negative index from the end', () => {
    expect([nth([3, 5, 7], 0), nth([3, 5, 7], 2), nth([3, 5, 7], -1), nth([3, 5, 7], -3)]).toEqual([3, 7, 7, 3]);
  });

  it('takes null as a value and typed arrays as lists', () => {
    expect([nth([null, 2], 0), nth(Int32Array.of(4, 6), 1)]).toEqual([null, 6]);
  });

  it('throws a graph error beyond either end, naming length and index', () => {
    expect(() => nth([1, 2], 2)).toThrow(GraphError);
    expect(() => nth([1, 2], 2)).toThrow('a list of 2 has no element 2');
    expect(() => nth([1, 2], -3)).toThrow('a list of 2 has no element -3');
  });
});

test('elements and names: omitted ones are the empty name', () => {
  expect(elementAt([3, 0], 1, 'axis')).toBe(0);
  expect([inputName(node), inputName(node, 1), inputName(node, 2), outputName(node)]).toEqual(['x', '', 'max', 'y']);
});

test('elements and names: what is missing is named', () => {
  expect(() => elementAt([3, 0], 2, 'axis')).toThrow('axis 2 does not exist: there are 2');
  expect(() => elementAt([3, 0], -1, 'axis')).toThrow(RangeError);
  expect(() => inputName(node, 3)).toThrow('node "y" (Clip): its input 3 is missing: the node has 3 input(s)');
  expect(() => outputName(node, 1)).toThrow('node "y" (Clip): its output 1 is missing');
});

test('items count from the end where negative; the list is named where there is none', () => {
  expect([itemOf([3, 0], 0, 'strides'), itemOf([3, 0], -1, 'strides')]).toEqual([3, 0]);
  expect(() => itemOf([3, 0], 2, 'strides')).toThrow('strides has 2 elements, none at 2');
  expect(() => itemOf([3, 0], -3, 'strides')).toThrow('strides has 2 elements, none at -3');
});

test('gives the value of a key, and names one that is missing', () => {
  const sizes = new Map([['w', 0]]);
  expect(entryOf(sizes, 'w', 'size of weight')).toBe(0);
  expect(() => entryOf(sizes, 'v', 'size of weight')).toThrow('size of weight "v" does not exist');
});

test('existing takes every value but null and undefined', () => {
  expect([existing(0, 'count'), existing('', 'name'), existing(false, 'flag')]).toEqual([0, '', false]);
  expect(() => existing(null, 'the bias')).toThrow('the bias is missing');
  expect(() => existing(undefined, 'the bias')).toThrow('the bias is missing');
});

test('tuples have the length asked for, and keep it', () => {
  const [first, second] = tupleOf([4, 6], 2, 'pads');
  expect([first, second]).toEqual([4, 6]);
  expect(() => tupleOf([4, 6], 3, 'pads')).toThrow('pads has 2 elements; it must have 3');
  expect(mapTuple([1, 2] as const, (value, i) => value * 10 + i)).toEqual([10, 21]);
});
