import { expect, test } from 'vitest';
import { makeNode } from './edit.ts';
import { elementAt, inputName, outputName } from './element-at.ts';

const node = makeNode('Clip', ['x', '', 'max'], ['y']);

test('gives elements and names, omitted ones as the empty name', () => {
  expect(elementAt([3, 0], 1, 'axis')).toBe(0);
  expect([inputName(node), inputName(node, 1), inputName(node, 2), outputName(node)]).toEqual(['x', '', 'max', 'y']);
});

test('names what is missing', () => {
  expect(() => elementAt([3, 0], 2, 'axis')).toThrow('axis 2 does not exist: there are 2');
  expect(() => elementAt([3, 0], -1, 'axis')).toThrow(RangeError);
  expect(() => inputName(node, 3)).toThrow('node "y" (Clip): its input 3 is missing: the node has 3 input(s)');
  expect(() => outputName(node, 1)).toThrow('node "y" (Clip): its output 1 is missing');
});
