import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  CODE,
  graphBytes,
  modelBytes,
  nodeBytes,
  tensorBytes,
  valueBytes,
} from '../../../../test/support/onnx-bytes.ts';
import { projectRoot } from '../../../process/entry.ts';
import { makeNode } from '../../ir/edit.ts';
import { fromHost, hostNumbers, hostOf, toHost } from '../../ir/tensor-data.ts';
import type { Graph, Model } from '../../ir/types.ts';
import { readOnnx } from './read.ts';
import { MessageWriter } from './wire.ts';
import { writeOnnx } from './write.ts';

const digits = new Uint8Array(readFileSync(join(projectRoot, 'examples', 'digit_cnn.onnx')));

/** The model as new objects all the way down, none of which remembers its bytes. */
function deepCopy<T>(value: T): T {
  if (value instanceof Uint8Array) return value;
  if (value instanceof Map) return new Map([...value].map(([key, inner]) => [key, deepCopy(inner)])) as T;
  if (Array.isArray(value)) return value.map(deepCopy) as T;
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, deepCopy(inner)])) as T;
  return value;
}

/** The model with a graph that counts as changed though every part of it is the same. */
const touched = (model: Model): Model => ({ ...model, graph: { ...model.graph } });

describe('an unchanged model', () => {
  it('comes out byte for byte', () => expect(Buffer.compare(writeOnnx(readOnnx(digits)), digits)).toBe(0));

  it('comes out byte for byte when put together again from its untouched parts', () =>
    expect(Buffer.compare(writeOnnx(touched(readOnnx(digits))), digits)).toBe(0));

  it('keeps the order of its fields, unknown ones and doc strings', () => {
    const graph = new MessageWriter()
      .message(11, valueBytes('x', [1]))
      .message(5, tensorBytes('w', CODE.float32, [1], (w) => w.float(4, 2)).text(12, 'doc'))
      .message(1, nodeBytes({ opType: 'Add', inputs: ['x', 'w'], outputs: ['t'] }))
      .text(10, 'about')
      .message(1, nodeBytes({ opType: 'Relu', inputs: ['t'], outputs: ['y'] }))
      .int(77, 5)
      .message(12, valueBytes('y', [1]))
      .message(11, valueBytes('z', [1]))
      .text(2, 'last');
    const file = new MessageWriter()
      .message(8, new MessageWriter().text(1, '').int(2, 13))
      .text(999, 'unknown')
      .message(7, graph)
      .text(2, 'maker')
      .int(1, 7)
      .finish();
    const model = readOnnx(file);
    expect(writeOnnx(touched(model))).toEqual(file);
    expect(writeOnnx({ ...touched(model), metadata: new Map([['key', 'value']]) }).subarray(0, file.length)).toEqual(
      file,
    );
  });

  // The models of ONNX's own test suite, where the folder is given.
  const folder = process.env['LATHE_ONNX_TESTS'];
  it.skipIf(!folder)('holds for every model of the ONNX tests', () => {
    const files = readdirSync(folder!, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.onnx'));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const bytes = new Uint8Array(readFileSync(join(folder!, file)));
      expect(Buffer.compare(writeOnnx(touched(readOnnx(bytes))), bytes), file).toBe(0);
    }
  });
});

describe('a model encoded anew', () => {
  it('computes the same in ONNX Runtime', async () => {
    const file = writeOnnx(deepCopy(readOnnx(digits)));
    const feeds = {
      input: new ort.Tensor(
        'float32',
        Float32Array.from({ length: 2 * 784 }, (_, i) => Math.sin(i)),
        [2, 1, 28, 28],
      ),
    };
    const run = async (bytes: Uint8Array) =>
      (await (await ort.InferenceSession.create(bytes)).run(feeds))['logits']!.data;
    expect(await run(file)).toEqual(await run(digits));
  });

  it('reads back equal', () => {
    const graph: Graph = {
      name: 'g',
      nodes: [
        makeNode(
          'Op',
          ['x', '', 'w'],
          ['y', ''],
          {
            i: 3,
            f: { float: 0.25 },
            s: 'text',
            is: [1, -2],
            fs: { floats: [0.5] },
            t: { kind: 'tensor', value: fromHost('', hostOf('int4', [3], [-8, 7, 1])) },
            ss: { kind: 'strings', value: ['a', ''] },
            empty: [],
          },
          { domain: 'my.domain', name: 'node ∂' },
        ),
      ],
      initializers: new Map([['w', fromHost('w', hostOf('int8', [2, 2], [-128, 127, 0, 1]))]]),
      inputs: [{ name: 'x', type: { dtype: 'float16', shape: ['batch', 3, null] } }],
      outputs: [{ name: 'y', type: { dtype: 'float32', shape: null } }],
      valueInfos: [],
    };
    const model: Model = {
      irVersion: 8,
      opsets: new Map([
        ['', 17],
        ['my.domain', 1],
      ]),
      graph,
      functions: [],
      metadata: new Map([['k', 'v']]),
      producerName: 'lathe',
    };
    const {
      order: _,
      graph: { order: __, ...readGraph },
      ...read
    } = readOnnx(writeOnnx(model));
    expect({ ...read, graph: readGraph }).toEqual(model);
  });

  it('stores int8 in raw_data: a byte an element', () => {
    const tensor = fromHost('w', hostOf('int8', [10_000], new Array<number>(10_000).fill(-1)));
    const graph: Graph = {
      name: '',
      nodes: [],
      initializers: new Map([['w', tensor]]),
      inputs: [],
      outputs: [],
      valueInfos: [],
    };
    expect(
      writeOnnx({ irVersion: 8, opsets: new Map([['', 17]]), graph, functions: [], metadata: new Map() }).length,
    ).toBeLessThan(10_100);
  });
});

describe('a model changed in one place', () => {
  const changeNode = (
    model: Model,
    index: number,
    change: (node: Graph['nodes'][number]) => Graph['nodes'][number],
  ): Model => ({
    ...model,
    graph: { ...model.graph, nodes: model.graph.nodes.map((node, i) => (i === index ? change(node) : node)) },
  });

  it('keeps all other bytes', () => {
    const model = readOnnx(digits);
    const name = [...model.graph.initializers.keys()][0]!;
    const old = model.graph.initializers.get(name)!;
    const zeros = fromHost(name, hostOf('float32', old.dims, new Float32Array(old.bytes.length / 4)));
    const file = writeOnnx({
      ...model,
      graph: { ...model.graph, initializers: new Map(model.graph.initializers).set(name, zeros) },
    });
    expect(hostNumbers(toHost(readOnnx(file).graph.initializers.get(name)!)).every((value) => value === 0)).toBe(true);
    let different = 0;
    const others = readOnnx(file).graph;
    for (const [other, tensor] of model.graph.initializers)
      if (Buffer.compare(others.initializers.get(other)!.bytes, tensor.bytes) !== 0) different++;
    expect(different).toBe(1);
    expect(others.nodes).toEqual(model.graph.nodes);
  });

  it('never writes stale bytes for a spread copy', () => {
    const file = writeOnnx(
      changeNode(readOnnx(digits), 0, (node) => ({ ...node, inputs: ['other', ...node.inputs.slice(1)] })),
    );
    expect(readOnnx(file).graph.nodes[0]!.inputs[0]).toBe('other');
  });

  it('keeps int64 beyond 2^53 in untouched attributes, and writes attributes under the name they now have', () => {
    const ends = new MessageWriter().text(1, 'ends').int(8, 9223372036854775807n).int(20, 7);
    const model = readOnnx(
      modelBytes(
        graphBytes({ nodes: [nodeBytes({ opType: 'Slice', inputs: ['x'], outputs: ['y'], attributes: [ends] })] }),
      ),
    );
    const renamed = Buffer.from(writeOnnx(changeNode(model, 0, (node) => ({ ...node, inputs: ['z'] }))));
    expect(renamed.includes(Buffer.from(ends.finish()))).toBe(true);
    const moved = changeNode(model, 0, (node) => ({
      ...node,
      attributes: new Map([['starts', node.attributes.get('ends')!]]),
    }));
    expect([...readOnnx(writeOnnx(moved)).graph.nodes[0]!.attributes.keys()]).toEqual(['starts']);
  });
});

it('declares the version that constant initializers need, where the file had one in which all are inputs', () => {
  const graph = graphBytes({
    nodes: [nodeBytes({ opType: 'Add', inputs: ['x', 'w'], outputs: ['y'] })],
    initializers: [tensorBytes('w', CODE.float32, [1], (w) => w.float(4, 2))],
    inputs: [valueBytes('x', [1]), valueBytes('w', [1])],
    outputs: [valueBytes('y', [1])],
  });
  const model = readOnnx(
    new MessageWriter().int(1, 3).message(7, graph).message(8, new MessageWriter().text(1, '').int(2, 9)).finish(),
  );
  const scale = fromHost('scale', hostOf('float32', [1], [2]));
  const added: Model = {
    ...model,
    graph: { ...model.graph, initializers: new Map([...model.graph.initializers, ['scale', scale]]) },
  };
  expect(readOnnx(writeOnnx(touched(model))).irVersion).toBe(3);
  expect(readOnnx(writeOnnx(added)).irVersion).toBe(4);
});
