import { describe, expect, test } from 'vitest';
import { modelOf, value } from '../../../test/support/graphs.ts';
import { makeNode } from '../ir/edit.ts';
import type { Node } from '../ir/types.ts';
import { findHead } from './head.ts';

describe('findHead', () => {
  const headOf = (nodes: readonly Node[], opset = 17) =>
    findHead(modelOf({ nodes, inputs: [value('x', ['n', 3])], outputs: [value('y', ['n', 3])], opset }), 'y');

  test.each([
    ['Softmax', [makeNode('Softmax', ['x'], ['y'])], 'softmax', 'x'],
    [
      'behind shape-only nodes',
      [makeNode('Softmax', ['x'], ['s']), makeNode('Identity', ['s'], ['i']), makeNode('Flatten', ['i'], ['y'])],
      'softmax',
      'x',
    ],
    ['Log of Softmax', [makeNode('Softmax', ['x'], ['s']), makeNode('Log', ['s'], ['y'])], 'log-softmax', 'x'],
    ['Sigmoid', [makeNode('Relu', ['x'], ['r']), makeNode('Sigmoid', ['r'], ['y'])], 'sigmoid', 'r'],
    ['none', [makeNode('Relu', ['x'], ['y'])], 'none', 'y'],
  ] as const)('%s', (_name, nodes, activation, scores) => {
    expect(headOf(nodes)).toMatchObject({ activation, scores });
  });

  test('a Softmax of opset 11 that flattens several axes is none to take logits from', () => {
    const model = modelOf({
      nodes: [makeNode('Softmax', ['x'], ['y'], { axis: 1 })],
      inputs: [value('x', ['n', 3, 4])],
      outputs: [value('y', ['n', 3, 4])],
      opset: 11,
    });
    expect(findHead(model, 'y').activation).toBe('none');
    expect(headOf([makeNode('Softmax', ['x'], ['y'], { axis: 1 })], 11).activation).toBe('softmax');
  });
});
