/**
 * Nodes that their operator's schema forbids: refused with the node, as onnxruntime refuses them; what it runs is let
 * through.
 */
import { describe, expect, test } from 'vitest';
import { tensor, value } from '../../../test/support/graphs.ts';
import { LatheError } from '../../errors.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { openRuntime } from '../measure/session.ts';
import { describeModel } from '../graph/describe.ts';
import { makeNode } from './edit.ts';
import type { Graph, Model, Node } from './types.ts';
import { validateModel } from './validate.ts';

const node = makeNode;

const scale = tensor('w', [1], [2]);
const yes = tensor('c', [], [1], 'bool');

function branch(name: string, nodes: readonly Node[]): Graph {
  return {
    name,
    nodes,
    initializers: new Map(),
    inputs: [],
    outputs: [value(nodes.at(-1)!.outputs[0]!, [2, 3])],
    valueInfos: [],
  };
}

function choice(yesNodes: readonly Node[], noNodes: readonly Node[] = [node('Neg', ['x'], ['n'])]): Node {
  return node(
    'If',
    ['c'],
    ['y'],
    {
      then_branch: { kind: 'graph', value: branch('then', yesNodes) },
      else_branch: { kind: 'graph', value: branch('else', noNodes) },
    },
    { name: 'if' },
  );
}

function model(nodes: readonly Node[], opset = 17): Model {
  const graph = {
    name: 'g',
    nodes,
    initializers: new Map([
      ['w', scale],
      ['c', yes],
    ]),
    inputs: [value('x', [2, 3])],
    outputs: [value('y', null)],
    valueInfos: [],
  };
  return { irVersion: 8, opsets: new Map([['', opset]]), functions: [], metadata: new Map(), graph };
}

function refusal(given: Model): string | null {
  try {
    validateModel(given);
    describeModel(given, 'onnx');
    return null;
  } catch (error) {
    if (error instanceof LatheError && error.code === 'malformed-model') return error.message;
    throw error;
  }
}

async function runtimeTakes(given: Model): Promise<boolean> {
  const runtime = await openRuntime(writeOnnx(given)).catch(() => null);
  await runtime?.release();
  return runtime !== null;
}

describe('refused here and by onnxruntime', () => {
  test.each<[string, readonly Node[], RegExp]>([
    [
      'too few inputs',
      [node('Add', ['x'], ['y'], {}, { name: 'sum' })],
      /node "sum" \(Add\): it has 1 input, Add has 2/,
    ],
    [
      'too many inputs',
      [node('Relu', ['x', 'w'], ['y'], {}, { name: 'r' })],
      /node "r" \(Relu\): it has 2 inputs, Relu has 1/,
    ],
    [
      'too many inputs, the last ones empty',
      [node('Clip', ['x', '', '', ''], ['y'])],
      /it has 4 inputs, Clip has 1 to 3/,
    ],
    [
      'no inputs where one or more are asked',
      [node('Concat', [], ['y'], { axis: 0 })],
      /it has 0 inputs, Concat has 1 or more/,
    ],
    ['a needed input left out', [node('Add', ['', 'x'], ['y'])], /its input 0 is left out, which Add needs/],
    ['too many outputs', [node('Relu', ['x'], ['y', 'z'])], /it has 2 outputs, Relu has 1/],
    [
      'no outputs',
      [node('Relu', ['x'], [], {}, { name: 'lost' }), node('Relu', ['x'], ['y'])],
      /node "lost" \(Relu\): it has 0 outputs, Relu has 1/,
    ],
    ['a needed output left out', [node('Relu', ['x'], ['']), node('Relu', ['x'], ['y'])], /its output 0 is left out/],
    ['an unknown attribute', [node('Relu', ['x'], ['y'], { _slope: 3 })], /Relu has no attribute "_slope"/],
    [
      'an attribute of the wrong type',
      [node('Concat', ['x', 'x'], ['y'], { axis: { kind: 'float', value: 1 } })],
      /attribute "axis" holds float where int is expected/,
    ],
    ['a required attribute missing', [node('Concat', ['x', 'x'], ['y'])], /its attribute "axis" is missing/],
    ['a branch missing', [node('If', ['c'], ['y'])], /its attribute "(then|else)_branch" is missing/],
    [
      'two element types where there is one',
      [node('Add', ['x', 'c'], ['y'], {}, { name: 'sum' })],
      /node "sum" \(Add\): its input 1 is bool, but its input 0 is float32/,
    ],
    [
      'the same among any number of inputs',
      [node('Concat', ['x', 'x', 'x', 'c'], ['y'], { axis: 0 })],
      /its input 3 is bool, but its input 0 is float32/,
    ],
    [
      'in a branch',
      [choice([node('Add', ['x'], ['t'], {}, { name: 'inner' })])],
      /node "inner" \(Add\): it has 1 input/,
    ],
    [
      'two nodes of one name',
      [node('Relu', ['x'], ['t'], {}, { name: 'a' }), node('Neg', ['t'], ['y'], {}, { name: 'a' })],
      /node "a": two nodes have this name, the second with output "y"/,
    ],
    [
      'two nodes of one name in a branch',
      [choice([node('Relu', ['x'], ['t'], {}, { name: 'a' }), node('Neg', ['t'], ['u'], {}, { name: 'a' })])],
      /node "a": two nodes have this name/,
    ],
    [
      'a value defined in the branch and outside',
      [choice([node('Relu', ['x'], ['w'], {}, { name: 'shadow' })])],
      /node "shadow" \(Relu\): its output "w" is defined twice/,
    ],
  ])('%s', async (_, nodes, message) => {
    const given = model(nodes);
    expect(refusal(given)).toMatch(message);
    expect(await runtimeTakes(given)).toBe(false);
  });

  test('but not Constants of one name, which converters write', async () => {
    const constant = (output: string) =>
      node('Constant', [], [output], { value_float: { float: 2 } }, { name: 'anon' });
    const given = model([constant('a'), constant('b'), node('Add', ['a', 'b'], ['s']), node('Add', ['x', 's'], ['y'])]);
    expect(refusal(given)).toBeNull();
    expect(await runtimeTakes(given)).toBe(true);
  });

  test('what an older opset has otherwise', async () => {
    const clip = (opset: number) => model([node('Clip', ['x', 'w'], ['y'])], opset);
    expect(refusal(clip(10))).toMatch(/it has 2 inputs, Clip has 1/);
    expect(await runtimeTakes(clip(10))).toBe(false);
  });
});

describe('let through, as onnxruntime does', () => {
  test.each<[string, readonly Node[]]>([
    [
      'optional inputs left out between others',
      [node('Clip', ['x', '', 'limit'], ['y']), node('ReduceMax', ['w'], ['limit'], { keepdims: 0 })],
    ],
    ['an attribute that is marked as private', [node('Relu', ['x'], ['y'], { __note: 3 })]],
    [
      'nodes without names',
      [node('Relu', ['x'], ['t'], {}, { name: '' }), node('Relu', ['t'], ['y'], {}, { name: '' })],
    ],
    [
      'one name in both branches and outside',
      [choice([node('Relu', ['x'], ['t'], {}, { name: 'if' })], [node('Neg', ['x'], ['t'], {}, { name: 'if' })])],
    ],
  ])('%s', async (_, nodes) => {
    const given = model(nodes);
    expect(refusal(given)).toBeNull();
    expect(await runtimeTakes(given)).toBe(true);
  });

  test('an operator of another domain, whatever its inputs', () => {
    expect(refusal(model([node('Sparkle', [], ['y'], { any: 1 }, { domain: 'org.example' })]))).toBeNull();
  });
});

describe('functions', () => {
  const call = (inputs: readonly string[], body: readonly Node[]): Model => ({
    ...model([node('F', inputs, ['y'], {}, { name: 'call', domain: 'd' })]),
    opsets: new Map([
      ['', 17],
      ['d', 1],
    ]),
    functions: [
      {
        name: 'F',
        domain: 'd',
        overload: '',
        inputs: ['a'],
        outputs: ['b'],
        attributes: [],
        attributeDefaults: new Map(),
        nodes: body,
        opsets: new Map([['', 17]]),
      },
    ],
  });

  test('more inputs than the function has', async () => {
    const given = call(['x', 'w'], [node('Relu', ['a'], ['b'])]);
    expect(refusal(given)).toMatch(/node "call" \(F\): it has 2 inputs, its function has 1/);
    expect(await runtimeTakes(given)).toBe(false);
  });

  test('a node of the body that does not fit', async () => {
    const given = call(['x'], [node('Add', ['a'], ['b'], {}, { name: 'inside' })]);
    expect(refusal(given)).toMatch(/node "inside" \(Add\): it has 1 input/);
    expect(await runtimeTakes(given)).toBe(false);
  });

  test('as called for', async () => {
    const given = call(['x'], [node('Relu', ['a'], ['b'])]);
    expect(refusal(given)).toBeNull();
    expect(await runtimeTakes(given)).toBe(true);
  });
});
