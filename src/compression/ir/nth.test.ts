import { describe, expect, it } from 'vitest';
import { GraphError } from './graph-error.ts';
import { nth } from './nth.ts';

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
