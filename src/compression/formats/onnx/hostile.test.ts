/**
 * Files that nobody planned: each must end in a clear error (or a sound model), fast, and without using much memory.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  CODE,
  graphBytes,
  identityModel,
  modelBytes,
  nodeBytes,
  tensorBytes,
  valueBytes,
  type NodeBytes,
} from '../../../../test/support/onnx-bytes.ts';
import { LatheError } from '../../../errors.ts';
import { projectRoot } from '../../../process/entry.ts';
import { describeModel } from '../../graph/describe.ts';
import { hostNumbers, toHost } from '../../ir/tensor-data.ts';
import { validateModel } from '../../ir/validate.ts';
import type { Model } from '../../ir/types.ts';
import { readOnnx } from './read.ts';
import { MessageWriter } from './wire.ts';
import { writeOnnx } from './write.ts';

const digits = new Uint8Array(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));

function open(bytes: Uint8Array): Model {
  const model = readOnnx(bytes);
  validateModel(model);
  return model;
}

/** The error of opening the file; undefined where it opens. Anything but a LatheError fails the test. */
function refusal(bytes: Uint8Array): LatheError | undefined {
  try {
    describeModel(open(bytes), 'onnx');
    return undefined;
  } catch (error) {
    if (error instanceof LatheError) return error;
    throw error;
  }
}

/** Processor time since `start`, ms: unlike the clock, no matter how busy the machine is. */
function spent(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Deterministic bytes (a linear congruential generator; Numerical Recipes' constants). */
function* noise(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state >>> 24;
  }
}
const noiseBytes = (seed: number, length: number): Uint8Array => {
  const source = noise(seed);
  return Uint8Array.from({ length }, () => source.next().value as number);
};

const graphOf = (nodes: readonly NodeBytes[], outputs: readonly string[] = ['y']): Uint8Array =>
  modelBytes(
    graphBytes({
      nodes: nodes.map(nodeBytes),
      inputs: [valueBytes('x', [2])],
      outputs: outputs.map((name) => valueBytes(name, [2])),
    }),
  );

describe('damaged files', () => {
  it('truncated anywhere', () => {
    const small = identityModel();
    // a cut between two fields may leave a sound model
    for (let length = 0; length < small.length; length++) refusal(small.subarray(0, length));
    for (let i = 1; i < 200; i++)
      expect(refusal(digits.subarray(0, Math.floor((digits.length * i) / 200)))?.code).toBe('malformed-model');
  });

  it('random bytes', () => {
    for (let seed = 0; seed < 500; seed++) expect(refusal(noiseBytes(seed, 20 + seed))?.code).toBe('malformed-model');
  });

  it('single bytes changed', () => {
    const small = identityModel();
    for (let i = 0; i < small.length; i++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const copy = small.slice();
        copy[i] = value;
        refusal(copy);
      }
    }
    const source = noise(7);
    for (let i = 0; i < 300; i++) {
      const copy = digits.subarray(0).slice();
      for (let k = 0; k < 20; k++)
        copy[(source.next().value as number) * 16 + (source.next().value as number)] = source.next().value as number;
      refusal(copy);
    }
  });

  it.each<[string, Uint8Array]>([
    ['empty', new Uint8Array(0)],
    ['zeros', new Uint8Array(4096)],
    ['text', new TextEncoder().encode('This is not a model, whatever its name says.')],
    ['a number that never ends', new Uint8Array(1000).fill(0xff)],
    ['a group of old protobuf', Uint8Array.of(0x0b, 0x0c)],
    ['a length beyond the file', Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['no graph', new MessageWriter().int(1, 8).finish()],
    ['an empty graph', modelBytes(graphBytes({}))],
    ['a graph of the wrong wire type', new MessageWriter().int(7, 5).finish()],
  ])('%s', (_, bytes) => expect(refusal(bytes)?.code).toBe('malformed-model'));

  it('says where', () => {
    const damaged = modelBytes(
      graphBytes({
        nodes: [
          nodeBytes({
            opType: 'Relu',
            name: 'relu1',
            inputs: ['x'],
            outputs: ['y'],
            attributes: [new MessageWriter().text(1, 'a').payload(2, new Uint8Array(3))],
          }),
        ],
      }),
    );
    expect(refusal(damaged)?.message).toMatch(/attribute: field 2 has wire type 2 instead of 5/);
  });
});

describe('contradictory graphs', () => {
  it.each<[string, Uint8Array, RegExp]>([
    [
      'a cycle',
      graphOf([
        { opType: 'Add', name: 'a', inputs: ['x', 'q'], outputs: ['p'] },
        { opType: 'Relu', name: 'b', inputs: ['p'], outputs: ['q'] },
        { opType: 'Relu', inputs: ['q'], outputs: ['y'] },
      ]),
      /node "a" \(Add\).*cycle/,
    ],
    [
      'a node fed by itself',
      graphOf([{ opType: 'Relu', name: 'me', inputs: ['y'], outputs: ['y'] }]),
      /node "me".*cycle/,
    ],
    [
      'a missing input',
      graphOf([{ opType: 'Relu', name: 'r', inputs: ['nowhere'], outputs: ['y'] }]),
      /node "r" \(Relu\): its input "nowhere" is defined nowhere/,
    ],
    [
      'an output nobody computes',
      graphOf([{ opType: 'Relu', inputs: ['x'], outputs: ['t'] }]),
      /output "y" is computed by no node/,
    ],
    [
      'an output defined twice',
      graphOf([
        { opType: 'Relu', inputs: ['x'], outputs: ['y'] },
        { opType: 'Tanh', name: 'second', inputs: ['x'], outputs: ['y'] },
      ]),
      /node "second".*"y" is defined twice/,
    ],
    [
      'a node that overwrites an input',
      graphOf([{ opType: 'Relu', name: 'r', inputs: ['x'], outputs: ['x'] }], ['x']),
      /"x" is defined twice/,
    ],
    [
      'two inputs of one name',
      modelBytes(graphBytes({ inputs: [valueBytes('x', [1]), valueBytes('x', [1])], outputs: [valueBytes('x', [1])] })),
      /two inputs named "x"/,
    ],
    [
      'two initializers of one name',
      modelBytes(
        graphBytes({
          initializers: [tensorBytes('w', CODE.float32, [0]), tensorBytes('w', CODE.float32, [0])],
          outputs: [valueBytes('w', [0])],
        }),
      ),
      /two initializers named "w"/,
    ],
    [
      'a node without operator',
      graphOf([{ opType: '', name: 'blank', inputs: ['x'], outputs: ['y'] }]),
      /has no operator type/,
    ],
    [
      'a subgraph that captures nothing known',
      graphOf([
        {
          opType: 'If',
          name: 'if',
          inputs: ['x'],
          outputs: ['y'],
          attributes: [
            new MessageWriter()
              .text(1, 'then_branch')
              .message(6, graphBytes({ outputs: [valueBytes('ghost', [1])] }))
              .int(20, 5),
          ],
        },
      ]),
      /node "if".*"ghost"/,
    ],
    [
      'a shape below zero',
      modelBytes(
        graphBytes({
          nodes: [nodeBytes({ opType: 'ConstantOfShape', name: 'below', inputs: ['s'], outputs: ['y'] })],
          initializers: [tensorBytes('s', CODE.int64, [1], (w) => w.int(7, -5))],
          outputs: [valueBytes('y', ['n'])],
        }),
      ),
      /node "below" \(ConstantOfShape\).*\[-5\]/,
    ],
  ])('%s', (_, bytes, message) => {
    expect(refusal(bytes)).toMatchObject({ code: 'malformed-model', message: expect.stringMatching(message) });
  });

  it('functions that call each other in a ring', () => {
    const fn = (name: string, calls: string) =>
      new MessageWriter()
        .text(1, name)
        .text(4, 'a')
        .text(5, 'b')
        .message(7, nodeBytes({ opType: calls, domain: 'f', inputs: ['a'], outputs: ['b'] }))
        .text(10, 'f');
    const model = new MessageWriter()
      .raw(graphOf([{ opType: 'P', domain: 'f', inputs: ['x'], outputs: ['y'] }]))
      .message(25, fn('P', 'Q'))
      .message(25, fn('Q', 'P'))
      .finish();
    expect(refusal(model)?.message).toMatch(/function "P": the function calls itself/);
  });

  it('functions that expand to more nodes than memory holds', () => {
    // f0 calls f1 ten times, which calls f2 ten times...: 10^12 nodes.
    const model = new MessageWriter().raw(graphOf([{ opType: 'f0', domain: 'f', inputs: ['x'], outputs: ['y'] }]));
    for (let i = 0; i < 12; i++) {
      const body = new MessageWriter().text(1, `f${i}`).text(4, 'v0').text(5, 'v10').text(10, 'f');
      for (let k = 0; k < 10; k++)
        body.message(
          7,
          nodeBytes(
            i < 11
              ? { opType: `f${i + 1}`, domain: 'f', inputs: [`v${k}`], outputs: [`v${k + 1}`] }
              : { opType: 'Relu', inputs: [`v${k}`], outputs: [`v${k + 1}`] },
          ),
        );
      model.message(25, body);
    }
    expect(refusal(model.finish())?.message).toMatch(/functions expand to more than/);
  });
});

describe('bombs', () => {
  it.each<[string, number]>([
    ['nodes', 1],
    ['initializers', 5],
    ['inputs', 11],
  ])('millions of empty %s', (_, field) => {
    const records = new Uint8Array(8_000_000);
    for (let i = 0; i < records.length; i += 2) records[i] = field * 8 + 2; // tag, length 0
    const before = process.memoryUsage().heapUsed;
    const started = process.cpuUsage();
    expect(refusal(modelBytes(new MessageWriter().raw(records)))?.code).toBe('malformed-model');
    expect(spent(started)).toBeLessThan(5000);
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(600e6);
  });

  it('hundreds of thousands of inputs', () => {
    const input = valueBytes('i', []).finish();
    const records = new MessageWriter();
    for (let i = 0; i < 400_000; i++) records.payload(11, input);
    const started = process.cpuUsage();
    expect(refusal(modelBytes(new MessageWriter().raw(records.finish())))?.code).toBe('malformed-model');
    expect(spent(started)).toBeLessThan(8000);
  });

  it('millions of short names', () => {
    const records = new Uint8Array(9_000_000);
    for (let i = 0; i < records.length; i += 3) records.set([0x0a, 1, 0x61], i);
    expect(
      refusal(modelBytes(graphBytes({ nodes: [new MessageWriter().raw(records).text(4, 'Op')] })))?.message,
    ).toMatch(/more than 1000000/);
  });

  it('deep nesting', () => {
    let graph = graphBytes({});
    for (let i = 0; i < 200; i++)
      graph = graphBytes({
        nodes: [
          nodeBytes({ opType: 'If', attributes: [new MessageWriter().text(1, 'then_branch').message(6, graph)] }),
        ],
      });
    expect(refusal(modelBytes(graph))?.message).toMatch(/nested deeper/);
  });

  it('shapes of 2 GiB cost nothing until something needs their values', () => {
    const shape = tensorBytes('shape', CODE.int64, [2], (w) => w.int(7, 32768).int(7, 65536));
    const model = modelBytes(
      graphBytes({
        nodes: [nodeBytes({ opType: 'ConstantOfShape', inputs: ['shape'], outputs: ['y'] })],
        initializers: [shape],
        inputs: [valueBytes('x', [32768, 65536])],
        outputs: [valueBytes('y', [32768, 65536])],
      }),
    );
    const started = process.cpuUsage();
    expect(refusal(model)).toBeUndefined();
    expect(spent(started)).toBeLessThan(1000);
  });
});

describe('odd but sound', () => {
  it('a chain of 10,000 nodes, in reverse order of the file', () => {
    const nodes = Array.from({ length: 10_000 }, (_, i) =>
      nodeBytes({ opType: 'Relu', inputs: [i === 0 ? 'x' : `t${i}`], outputs: [i === 9999 ? 'y' : `t${i + 1}`] }),
    ).reverse();
    const file = modelBytes(graphBytes({ nodes, inputs: [valueBytes('x', [2])], outputs: [valueBytes('y', [2])] }));
    const started = process.cpuUsage();
    expect(describeModel(open(file), 'onnx').operators).toEqual({ Relu: 10_000 });
    expect(spent(started)).toBeLessThan(5000);
  });

  it('NaN and infinite weights, and weights without elements', () => {
    const values = [NaN, Infinity, -Infinity, -0];
    const model = open(
      modelBytes(
        graphBytes({
          nodes: [
            nodeBytes({
              opType: 'Concat',
              inputs: ['w', 'none'],
              outputs: ['y'],
              attributes: [new MessageWriter().text(1, 'axis').int(3, 0).int(20, 2)],
            }),
          ],
          initializers: [
            tensorBytes('w', CODE.float32, [4], (w) => w.floats(4, values)),
            tensorBytes('none', CODE.float32, [0]),
          ],
          outputs: [valueBytes('y', [4])],
        }),
      ),
    );
    expect(hostNumbers(toHost(model.graph.initializers.get('w')!))).toEqual(values);
    expect(describeModel(model, 'onnx').parameters).toBe(4);
  });

  it.each([
    '',
    ' ',
    'a/b:0',
    'ünï∂',
    '日本語',
    '😀',
    '__proto__',
    'constructor',
    'a\nb',
    '\u0000',
    '"',
    '\u202e',
    'x'.repeat(10_000),
  ])('names of odd characters (%#)', (name) => {
    const value = `v${name}`;
    const file = modelBytes(
      graphBytes({
        nodes: [nodeBytes({ opType: name === '__proto__' ? name : 'Relu', name, inputs: [value], outputs: ['y'] })],
        inputs: [valueBytes(value, ['n'])],
        outputs: [valueBytes('y', ['n'])],
      }),
    );
    const model = open(file);
    expect(model.graph.nodes[0]).toMatchObject({ name, inputs: [value] });
    expect(Buffer.compare(writeOnnx({ ...model, graph: { ...model.graph } }), file)).toBe(0);
    expect(describeModel(model, 'onnx').inputs[0]!.name).toBe(value);
  });

  it('messages stay one short line whatever the names', () => {
    const error = refusal(
      graphOf([{ opType: 'Relu', name: `a\nb${'x'.repeat(5000)}`, inputs: ['\u202eghost'], outputs: ['y'] }]),
    )!;
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).not.toMatch(/[\n\u202e]/);
  });
});
