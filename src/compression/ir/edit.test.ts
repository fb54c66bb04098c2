import { describe, expect, it } from 'vitest';
import { modelOf, tensor, value } from '../../../test/support/graphs.ts';
import {
  capturedNames,
  freshNames,
  indexGraph,
  makeNode,
  removeDeadNodes,
  removeUnusedInitializers,
  renameUses,
  topologicalOrder,
  usedNames,
  walkNodes,
} from './edit.ts';
import type { Graph } from './types.ts';

const graphOf = (nodes: Graph['nodes'], outputs: readonly string[], initializers: readonly string[] = []): Graph =>
  modelOf({
    nodes,
    inputs: [value('x', ['n'])],
    outputs: outputs.map((name) => value(name, ['n'])),
    initializers: initializers.map((name) => tensor(name, [1], [1])),
  }).graph;

/** x + outer, inside a subgraph; its initializer c is its own. */
const branch: Graph = { ...graphOf([makeNode('Add', ['outer', 'c'], ['s'])], ['s'], ['c']), inputs: [] };
const conditional = makeNode('If', ['cond'], ['y'], {
  then_branch: { kind: 'graph', value: branch },
  else_branch: { kind: 'graph', value: { ...branch, outputs: [value('outer', ['n'])] } },
});

describe('scopes', () => {
  it('a subgraph captures what it does not define', () => {
    expect([...capturedNames(branch)]).toEqual(['outer']);
    expect([...usedNames(conditional)].sort()).toEqual(['cond', 'outer']);
  });

  it('a node deep inside is visited', () => {
    const seen: string[] = [];
    walkNodes(graphOf([conditional], ['y']), (node) => seen.push(node.opType));
    expect(seen).toEqual(['If', 'Add', 'Add']);
  });

  it('captures count as uses', () => {
    const index = indexGraph(graphOf([makeNode('Relu', ['x'], ['outer']), conditional], ['y']));
    expect(index.consumers.get('outer')!.map(({ node, input }) => [node.opType, input])).toEqual([
      ['If', -1],
      ['If', -1],
    ]);
    expect(index.producer.get('outer')!.opType).toBe('Relu');
  });

  it('renaming reaches captures, but not names that a subgraph defines itself', () => {
    const renamed = renameUses(
      graphOf([makeNode('Relu', ['c'], ['outer']), conditional], ['y']),
      new Map([
        ['outer', 'new'],
        ['c', 'd'],
      ]),
    );
    expect(renamed.nodes[0]!.inputs).toEqual(['d']);
    const inner = renamed.nodes[1]!.attributes.get('then_branch') as { value: Graph };
    expect(inner.value.nodes[0]!.inputs).toEqual(['new', 'c']);
    const other = renamed.nodes[1]!.attributes.get('else_branch') as { value: Graph };
    expect(other.value.outputs[0]!.name).toBe('new');
  });
});

describe('order', () => {
  it('stays where it is right', () => {
    const graph = graphOf([makeNode('Relu', ['x'], ['a']), makeNode('Relu', ['a'], ['y'])], ['y']);
    expect(topologicalOrder(graph)).toBe(graph.nodes);
  });

  it('puts producers first, also of captured values', () => {
    const graph = graphOf(
      [
        conditional,
        makeNode('Relu', ['b'], ['outer']),
        makeNode('Relu', ['x'], ['b']),
        makeNode('Cast', ['x'], ['cond']),
      ],
      ['y'],
    );
    const order = topologicalOrder(graph).map(({ outputs }) => outputs[0]);
    expect(order.indexOf('b')).toBeLessThan(order.indexOf('outer'));
    expect(order.indexOf('outer')).toBeLessThan(order.indexOf('y'));
    expect(order.indexOf('cond')).toBeLessThan(order.indexOf('y'));
  });

  it('names a node of a cycle', () => {
    expect(() =>
      topologicalOrder(graphOf([makeNode('Add', ['x', 'b'], ['a']), makeNode('Relu', ['a'], ['b'])], ['b'])),
    ).toThrow(/node "a" \(Add\).*cycle/);
  });
});

describe('removal', () => {
  it('of nodes without readers, and of the initializers they leave', () => {
    const graph = graphOf(
      [makeNode('Add', ['x', 'w'], ['y']), makeNode('Mul', ['x', 'v'], ['t']), makeNode('Relu', ['t'], ['u'])],
      ['y'],
      ['w', 'v'],
    );
    const live = removeUnusedInitializers(removeDeadNodes(graph));
    expect(live.nodes.map(({ opType }) => opType)).toEqual(['Add']);
    expect([...live.initializers.keys()]).toEqual(['w']);
    expect(removeDeadNodes(graph, ['t']).nodes.length).toBe(2);
  });

  it('gives the same object where nothing is dead', () => {
    const graph = graphOf([makeNode('Add', ['x', 'w'], ['y'])], ['y'], ['w']);
    expect(removeUnusedInitializers(removeDeadNodes(graph))).toBe(graph);
  });
});

it('fresh names are new in every scope', () => {
  const fresh = freshNames(modelOf({ nodes: [conditional], inputs: [], outputs: [value('y', [])] }));
  expect([fresh('s'), fresh('s'), fresh('c'), fresh('new')]).toEqual(['s_1', 's_2', 'c_1', 'new']);
});
