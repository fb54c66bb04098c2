/**
 * Loops that do not end, or not in time: a clear answer within ten seconds, with the loop's name, from the very
 * processes that look at uploads.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { makeNode as node } from '../../../src/compression/ir/edit.ts';
import type { Graph, Model, Node, Tensor } from '../../../src/compression/ir/types.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';
import { createInspector } from '../../../src/inspection/inspector.ts';
import { childrenCpuMs } from '../../support/children-time.ts';
import { modelOf, tensor, value } from '../../support/graphs.ts';
import { randomTensor } from '../../support/models.ts';

let folder: string;
beforeAll(async () => {
  await startEngine('auto', { threads: 1 });
  folder = mkdtempSync(join(tmpdir(), 'lathe-loops-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Ten seconds of the children's own time: how long they wait for a busy machine is no matter of loops. */
const LIMIT_MS = 10_000;

async function inspect(model: Model) {
  const path = join(folder, 'model.onnx');
  writeFileSync(path, writeOnnx(model));
  const before = childrenCpuMs();
  const result = await createInspector()
    .model(path)
    .then(
      (description) => ({ description, error: null }),
      (error: unknown) => ({ description: null, error }),
    );
  return { ...result, cpuMs: childrenCpuMs() - before };
}

/** A body (round, going, v) -> (still, next, ...): `nodes` compute `still` and `next`. */
function body(nodes: readonly Node[], initializers: readonly Tensor[] = [], prefix = ''): Graph {
  return {
    name: `${prefix}body`,
    nodes,
    initializers: new Map(initializers.map((item) => [item.name, item])),
    inputs: [value(`${prefix}round`, [], 'int64'), value(`${prefix}going`, [], 'bool'), value(`${prefix}v`, null)],
    outputs: [value(`${prefix}still`, [], 'bool'), value(`${prefix}next`, null)],
    valueInfos: [],
  };
}

const loop = (graph: Graph, name: string, inputs: readonly string[], outputs: readonly string[]): Node =>
  node('Loop', inputs, outputs, { body: { kind: 'graph', value: graph } }, { name });

/** The condition holds for every input, which only running it tells. */
const forEver = (prefix = '', work: Node = node('Tanh', [`${prefix}v`], [`${prefix}next`])): Node[] => [
  work,
  node('Abs', [`${prefix}next`], [`${prefix}size`]),
  node('ReduceMin', [`${prefix}size`], [`${prefix}least`], { keepdims: 0 }),
  node('GreaterOrEqual', [`${prefix}least`, 'zero'], [`${prefix}still`]),
];

/** y = the nodes' work on h = x W. */
function model(nodes: readonly Node[], initializers: readonly Tensor[] = []): Model {
  return modelOf({
    nodes: [node('MatMul', ['x', 'w'], ['h']), ...nodes],
    initializers: [
      randomTensor('w', [4, 3], 1),
      tensor('zero', [], [0]),
      tensor('yes', [], [1], 'bool'),
      ...initializers,
    ],
    inputs: [value('x', ['n', 4])],
    outputs: [value('y', null)],
  });
}

describe('that the graph shows to be endless are malformed', () => {
  const unchanged = body([node('Identity', ['going'], ['still']), node('Tanh', ['v'], ['next'])]);
  test.each<[string, Model, RegExp]>([
    [
      'no trip count, and the condition stays true',
      model([loop(unchanged, 'spin', ['', 'yes', 'h'], ['y'])]),
      /node "spin" \(Loop\): the loop never ends/,
    ],
    [
      'neither trip count nor condition',
      model([loop(unchanged, 'spin', ['', '', 'h'], ['y'])]),
      /node "spin" \(Loop\): the loop never ends/,
    ],
    [
      '2^62 rounds',
      model([loop(unchanged, 'spin', ['trips', '', 'h'], ['y'])], [tensor('trips', [], [2 ** 62], 'int64')]),
      /node "spin" \(Loop\): the loop has more than 1000000000 rounds/,
    ],
  ])('%s', async (_, given, message) => {
    const { error, cpuMs } = await inspect(given);
    expect(error).toMatchObject({ code: 'malformed-model', message: expect.stringMatching(message) as string });
    expect(cpuMs).toBeLessThan(LIMIT_MS);
  });

  test('a loop of no rounds, or of some, is none of them', async () => {
    const some = model([loop(unchanged, 'few', ['trips', '', 'h'], ['y'])], [tensor('trips', [], [100], 'int64')]);
    expect((await inspect(some)).description).toMatchObject({ trainable: true });
    const never = model([loop(unchanged, 'never', ['', 'no', 'h'], ['y'])], [tensor('no', [], [0], 'bool')]);
    expect((await inspect(never)).description).toMatchObject({ trainable: true });
  });
});

describe('that only a run shows to be endless make a model untrainable', () => {
  const short = loop(
    body([node('Identity', ['in_going'], ['in_still']), node('Tanh', ['in_v'], ['in_next'])], [], 'in_'),
    'short',
    ['three', '', 'v'],
    ['worked'],
  );
  const rows: Graph = {
    name: 'rows',
    nodes: [
      loop(body(forEver('in_'), [], 'in_'), 'inner', ['', '', 'row'], ['done']),
      node('Identity', ['state'], ['state_out']),
    ],
    initializers: new Map(),
    inputs: [value('state', null), value('row', null)],
    outputs: [value('state_out', null), value('done', null)],
    valueInfos: [],
  };
  const branch = (name: string, nodes: readonly Node[]): Graph => ({
    name,
    nodes,
    initializers: new Map(),
    inputs: [],
    outputs: [value(nodes.at(-1)!.outputs[0]!, null)],
    valueInfos: [],
  });
  test.each<[string, Model, string]>([
    ['by itself', model([loop(body(forEver()), 'spin', ['', '', 'h'], ['y'])]), 'spin'],
    [
      'with a trip count of 2^62',
      model([loop(body(forEver()), 'spin', ['trips', 'yes', 'h'], ['y'])], [tensor('trips', [], [2 ** 62], 'int64')]),
      'spin',
    ],
    [
      'round a short loop, which is not blamed',
      model(
        [loop(body([short, ...forEver('', node('Identity', ['worked'], ['next']))]), 'outer', ['', '', 'h'], ['y'])],
        [tensor('three', [], [3], 'int64')],
      ),
      'outer',
    ],
    [
      'in a Scan',
      model([
        node(
          'Scan',
          ['h', 'h'],
          ['last', 'y'],
          { num_scan_inputs: 1, body: { kind: 'graph', value: rows } },
          { name: 'scan' },
        ),
      ]),
      'inner',
    ],
    [
      'in a branch',
      model(
        [
          node('ReduceMax', ['h'], ['most'], { keepdims: 0 }),
          node('Less', ['most', 'high'], ['low']),
          node(
            'If',
            ['low'],
            ['y'],
            {
              then_branch: {
                kind: 'graph',
                value: branch('then', [loop(body(forEver('in_'), [], 'in_'), 'inner', ['', '', 'h'], ['a'])]),
              },
              else_branch: { kind: 'graph', value: branch('else', [node('Neg', ['h'], ['b'])]) },
            },
            { name: 'choice' },
          ),
        ],
        [tensor('high', [], [1e9])],
      ),
      'inner',
    ],
  ])('%s', async (_, given, name) => {
    const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(given), given, {
      loops: { milliseconds: 500, bytes: 2 ** 28 },
    });
    expect(trainable).toBe(false);
    expect(untrainable).toEqual([
      {
        node: expect.stringContaining(`"${name}"`) as string,
        operator: 'Loop',
        reason: expect.stringMatching(/had not ended after \d+ rounds/) as string,
      },
    ]);
  });

  test('within ten seconds of the upload', async () => {
    const { description, cpuMs } = await inspect(model([loop(body(forEver()), 'spin', ['', '', 'h'], ['y'])]));
    expect(description!.untrainable[0]).toMatchObject({
      node: 'node "spin" (Loop)',
      reason: expect.stringMatching(/had not ended/) as string,
    });
    expect(cpuMs).toBeLessThan(LIMIT_MS);
  });

  test('one that doubles what it carries until memory ends', async () => {
    const doubling = body([node('Concat', ['v', 'v'], ['next'], { axis: 0 }), node('Identity', ['going'], ['still'])]);
    const { description, cpuMs } = await inspect(
      model([loop(doubling, 'grows', ['trips', '', 'h'], ['y'])], [tensor('trips', [], [1000], 'int64')]),
    );
    expect(description!.trainable).toBe(false);
    expect(description!.untrainable[0]!.reason).toMatch(
      /had not ended after \d+ rounds(, which made tensors of more than \d+ MiB| in [\d.]+ s)/,
    ); // whichever a machine comes to first
    expect(cpuMs).toBeLessThan(LIMIT_MS);
  });

  test('one that takes one more of the same each round', async () => {
    const growing = body(forEver('', node('Concat', ['v', 'h'], ['next'], { axis: 0 })));
    const { description, cpuMs } = await inspect(model([loop(growing, 'grows', ['', '', 'h'], ['y'])]));
    expect(description!.trainable).toBe(false);
    expect(cpuMs).toBeLessThan(LIMIT_MS);
  });
});

test('loops nested in loops, each changing the shape it carries', async () => {
  let inner = body([node('Concat', ['v0', 'v0'], ['next0'], { axis: 0 }), node('Identity', ['going0'], ['still0'])]);
  const rename = (graph: Graph, depth: number): Graph => ({
    ...graph,
    inputs: [value(`round${depth}`, [], 'int64'), value(`going${depth}`, [], 'bool'), value(`v${depth}`, null)],
    outputs: [value(`still${depth}`, [], 'bool'), value(`next${depth}`, null)],
  });
  inner = rename(inner, 0);
  for (let depth = 1; depth < 30; depth++) {
    inner = rename(
      body([
        loop(inner, `loop${depth}`, ['trips', '', `v${depth}`], [`l${depth}`]),
        node('Concat', [`l${depth}`, `v${depth}`], [`next${depth}`], { axis: 0 }),
        node('Identity', [`going${depth}`], [`still${depth}`]),
      ]),
      depth,
    );
  }
  const { description, error, cpuMs } = await inspect(
    model([loop(inner, 'outermost', ['trips', '', 'h'], ['y'])], [tensor('trips', [], [100], 'int64')]),
  );
  expect(cpuMs).toBeLessThan(LIMIT_MS);
  if (error)
    expect(error).toMatchObject({
      code: 'malformed-model',
      message: expect.stringMatching(/nest too deeply/) as string,
    });
  else expect(description!.trainable).toBe(false);
});
