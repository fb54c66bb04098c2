/**
 * Uploads and requests that are wrong in every way: the right code, a message with the place, the service alive,
 * nothing left behind.
 */
import { createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import seedrandom from 'seedrandom';
import yazl from 'yazl';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MessageWriter } from '../../src/compression/formats/onnx/wire.ts';
import { projectRoot } from '../../src/process/entry.ts';
import { childrenCpuMs } from '../support/children-time.ts';
import { npy, writeMnist, writeNpz, writeZip } from '../support/datasets.ts';
import { MNIST_TRANSFORM, problemOf } from '../support/jobs.ts';
import { eventually, leftovers } from '../support/leftovers.ts';
import { CODE, graphBytes, modelBytes, nodeBytes, valueBytes, type NodeBytes } from '../support/onnx-bytes.ts';
import { startService, type RunningService } from '../support/service.ts';

const MODEL_LIMIT_MB = 64;
const model = readFileSync(join(projectRoot, 'examples/digit_cnn.onnx'));

let service: RunningService;
let folder: string;
let apiProcess: number;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lathe-hostile-'));
  service = await startService({ LATHE_MAX_MODEL_MB: String(MODEL_LIMIT_MB), LATHE_MAX_DATASET_MB: '128' });
  apiProcess = service.processes('api')[0]!;
});
afterAll(async () => {
  await service?.remove();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  expect(service.processes('api')).toEqual([apiProcess]);
  expect(await fetch(`${service.url}/healthz`).then(({ status }) => status)).toBe(200);
  await eventually(5000, async () => expect(await leftovers(service.home, service.client)).toEqual([]));
});

function file(name: string, content: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function randomBytes(count: number): Buffer {
  const random = seedrandom('random file');
  return Buffer.from(Array.from({ length: count }, () => Math.floor(random() * 256)));
}

const oneNode = (node: NodeBytes): Uint8Array =>
  modelBytes(graphBytes({ nodes: [nodeBytes(node)], inputs: [valueBytes('x', [2])], outputs: [valueBytes('y', [2])] }));

/** A body that hands its condition and its value on. */
const handsOn = graphBytes({
  nodes: [
    nodeBytes({ opType: 'Identity', inputs: ['going'], outputs: ['still'] }),
    nodeBytes({ opType: 'Identity', inputs: ['v'], outputs: ['next'] }),
  ],
  inputs: [valueBytes('round', [], CODE.int64), valueBytes('going', [], CODE.bool), valueBytes('v', [2])],
  outputs: [valueBytes('still', [], CODE.bool), valueBytes('next', [2])],
});

/** A zip of one member that unpacks to `bytes` zeros. */
async function zipBomb(name: string, member: string, bytes: number): Promise<string> {
  const block = Buffer.alloc(2 ** 20);
  const zeros = function* () {
    for (let at = 0; at < bytes; at += block.length) yield block;
  };
  const zip = new yazl.ZipFile();
  zip.addReadStream(Readable.from(zeros()), member, { compressionLevel: 1 });
  zip.end();
  const path = join(folder, name);
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}

/** ModelProto { graph { node {} x count } }: two bytes of file per node object in memory. */
function protobufBomb(count: number): Buffer {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]);
  const nodes = Buffer.alloc(count * 2);
  for (let i = 0; i < count; i++) nodes[i * 2] = 0x0a;
  const opset = [0x42, 0x02, 0x10, 0x0d];
  return Buffer.concat([Buffer.from([0x08, 0x08, ...opset, 0x3a, ...varint(nodes.length)]), nodes]);
}

describe('models', () => {
  const upload = (path: string) => problemOf(service.client.upload('/v1/models', path));

  test('empty', async () => {
    expect(await upload(file('empty.onnx', ''))).toMatchObject({ status: 422, code: 'malformed-model' });
  });

  test.each([0.1, 0.5, 0.99])('cut off after %f of its bytes', async (share) => {
    const problem = await upload(file('cut.onnx', model.subarray(0, Math.floor(model.length * share))));
    expect(problem).toMatchObject({ status: 422, code: 'malformed-model' });
    expect(problem.message.length).toBeGreaterThan(10);
  });

  test('random bytes', async () => {
    const problem = await upload(file('random.onnx', randomBytes(100_000)));
    expect(['malformed-model', 'unsupported-format']).toContain(problem.code);
  });

  test('a picture', async () => {
    expect(['malformed-model', 'unsupported-format']).toContain(
      (
        await upload(
          file('picture.onnx', Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), randomBytes(1000)])),
        )
      ).code,
    );
  });

  test.each<[string, Uint8Array, RegExp]>([
    [
      'a node with too few inputs',
      oneNode({ opType: 'Add', name: 'sum', inputs: ['x'], outputs: ['y'] }),
      /node "sum" \(Add\): it has 1 input, Add has 2/,
    ],
    [
      'an attribute of the wrong type',
      oneNode({
        opType: 'Softmax',
        name: 'soft',
        inputs: ['x'],
        outputs: ['y'],
        attributes: [new MessageWriter().text(1, 'axis').float(2, 1).int(20, 1)],
      }),
      /node "soft" \(Softmax\): attribute "axis" holds float/,
    ],
    [
      'a loop that never ends',
      oneNode({
        opType: 'Loop',
        name: 'spin',
        inputs: ['', '', 'x'],
        outputs: ['y'],
        attributes: [new MessageWriter().text(1, 'body').message(6, handsOn).int(20, 5)],
      }),
      /node "spin" \(Loop\): the loop never ends/,
    ],
  ])('%s', async (_, bytes, message) => {
    const before = childrenCpuMs(apiProcess);
    const problem = await upload(file('contradiction.onnx', bytes));
    expect(problem).toMatchObject({ status: 422, code: 'malformed-model' });
    expect(problem.message).toMatch(message);
    expect(childrenCpuMs(apiProcess) - before).toBeLessThan(10_000);
  });

  test('over the size limit', async () => {
    expect(await upload(file('large.onnx', Buffer.alloc((MODEL_LIMIT_MB + 1) * 2 ** 20)))).toMatchObject({
      status: 413,
      code: 'too-large',
    });
  });

  test('a zip bomb', async () => {
    expect(['too-large', 'malformed-model', 'unsupported-format']).toContain(
      (await upload(await zipBomb('bomb.zip', 'model.json', 700 * 2 ** 20))).code,
    );
  });

  test('a protobuf bomb', async () => {
    const problem = await upload(file('bomb.onnx', protobufBomb(8_000_000)));
    expect(['too-large', 'malformed-model']).toContain(problem.code);
  });
});

describe('datasets', () => {
  const upload = (path: string, query = {}) => problemOf(service.client.upload('/v1/datasets', path, query));

  test('empty', async () => {
    expect(await upload(file('empty.npz', ''))).toMatchObject({ status: 422, code: 'malformed-dataset' });
  });

  test('random bytes', async () => {
    expect(['malformed-dataset', 'unsupported-format']).toContain(
      (await upload(file('random.npz', randomBytes(100_000)))).code,
    );
  });

  test('a zip that is cut off', async () => {
    const whole = readFileSync(await writeMnist(join(folder, 'whole.zip'), 200, 50));
    expect(await upload(file('cut.zip', whole.subarray(0, whole.length / 2)))).toMatchObject({
      code: 'malformed-dataset',
    });
  });

  test('a zip bomb', async () => {
    expect(['too-large', 'malformed-dataset']).toContain(
      (await upload(await zipBomb('bomb.npz', 'x.npy', 700 * 2 ** 20))).code,
    );
  });

  test('more labels than samples', async () => {
    const path = await writeNpz(join(folder, 'unequal.npz'), {
      x: npy([4, 2], new Float32Array(8)),
      y: npy([5], new Int32Array(5)),
    });
    const problem = await upload(path);
    expect(problem).toMatchObject({ code: 'malformed-dataset' });
    expect(problem.message).toMatch(/4.*5|5.*4/);
  });

  test('negative labels', async () => {
    const path = await writeNpz(join(folder, 'negative.npz'), {
      x: npy([4, 2], new Float32Array(8)),
      y: npy([4], Int32Array.from([0, 1, -2, 1])),
    });
    expect(await upload(path)).toMatchObject({ code: 'malformed-dataset' });
  });

  test('names that climb out of the folder', async () => {
    const path = await writeZip(join(folder, 'climbing.zip'), {
      'aa/picture.png': Buffer.from('x'),
      'bb/picture.png': Buffer.from('y'),
    });
    const bytes = readFileSync(path);
    const climbing = Buffer.from(
      bytes.toString('latin1').replaceAll('aa/picture.png', '../icture.png0'.slice(0, 14)),
      'latin1',
    );
    expect(await upload(file('climbing.zip', climbing))).toMatchObject({ code: 'malformed-dataset' });
  });

  test('csv without the target column', async () => {
    const problem = await upload(file('table.csv', 'a,b\n1,2\n3,4\n'), { target: 'c' });
    expect(['invalid-request', 'malformed-dataset']).toContain(problem.code);
    expect(problem.message).toContain('c');
  });
});

describe('jobs', () => {
  let base: { model: string; dataset: string; transform: typeof MNIST_TRANSFORM };
  beforeAll(async () => {
    const uploaded = await service.client.upload<{ id: string }>(
      '/v1/models',
      join(projectRoot, 'examples/digit_cnn.onnx'),
    );
    const dataset = await service.client.upload<{ id: string }>(
      '/v1/datasets',
      await writeMnist(join(folder, 'digits.zip'), 200, 50),
    );
    base = { model: uploaded.id, dataset: dataset.id, transform: MNIST_TRANSFORM };
  });
  const submit = (request: object) => problemOf(service.client.post('/v1/jobs', { ...base, ...request }));
  const paths = (problem: Awaited<ReturnType<typeof submit>>) => problem.errors.map(({ path }) => path);

  test('unknown technique', async () => {
    const problem = await submit({ steps: [{ technique: 'shrink' }] });
    expect(problem).toMatchObject({ status: 400, code: 'invalid-request' });
    expect(paths(problem)).toContain('/steps/0/technique');
    expect(problem.message + JSON.stringify(problem.errors)).toContain('shrink');
  });

  test('contradictory parameters, all told at once', async () => {
    const problem = await submit({
      steps: [
        { technique: 'prune-weights', sparsity: 0.5, threshold: { absolute: 0.1 } },
        { technique: 'prune-weights', sparsity: 1.5 },
        { technique: 'quantize', precision: 'int8', method: 'cast' },
      ],
    });
    expect(problem).toMatchObject({ status: 400, code: 'invalid-request' });
    for (const step of [0, 1, 2])
      expect(
        paths(problem).some((path) => path.startsWith(`/steps/${step}/`)),
        `step ${step}`,
      ).toBe(true);
  });

  test('unknown fields', async () => {
    expect(paths(await submit({ steps: [{ technique: 'retrain', epoch: 3 }] })).join()).toContain('/steps/0');
    expect(await submit({ stepps: [], steps: [{ technique: 'retrain' }] })).toMatchObject({ code: 'invalid-request' });
  });

  test('no steps, no JSON', async () => {
    expect(await submit({ steps: [] })).toMatchObject({ status: 400, code: 'invalid-request' });
    const response = await fetch(`${service.url}/v1/jobs`, {
      method: 'POST',
      body: '{"model": ',
      headers: { authorization: `Bearer ${service.apiKey}`, 'content-type': 'application/json' },
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ code: 'invalid-request' });
  });

  test('a dataset of another shape', async () => {
    const path = await writeNpz(join(folder, 'shape.npz'), {
      x: npy([20, 7], new Float32Array(140)),
      y: npy(
        [20],
        new Int32Array(20).map((_, i) => i % 10),
      ),
    });
    const dataset = (await service.client.upload<{ id: string }>('/v1/datasets', path)).id;
    const problem = await submit({ dataset, transform: {}, steps: [{ technique: 'retrain' }] });
    expect(problem).toMatchObject({ status: 422, code: 'shape-mismatch' });
    expect(paths(problem)).toContain('/dataset');
    expect(problem.message + JSON.stringify(problem.errors)).toMatch(/7/);
  });

  test('labels that the model has no scores for', async () => {
    const path = await writeNpz(join(folder, 'labels.npz'), {
      x: npy([30, 1, 28, 28], new Float32Array(30 * 784)),
      y: npy(
        [30],
        new Int32Array(30).map((_, i) => i % 13),
      ),
    });
    const dataset = (await service.client.upload<{ id: string }>('/v1/datasets', path)).id;
    const problem = await submit({ dataset, transform: {}, steps: [{ technique: 'retrain' }] });
    expect(problem).toMatchObject({ status: 422, code: 'shape-mismatch' });
    expect(problem.message + JSON.stringify(problem.errors)).toMatch(/13|12/);
  });

  test('training without data', async () => {
    expect(await submit({ dataset: undefined, transform: undefined, steps: [{ technique: 'retrain' }] })).toMatchObject(
      { status: 422, code: 'dataset-required' },
    );
  });

  test('a model that does not exist', async () => {
    expect(await submit({ model: 'mdl_00000000000000000000000000', steps: [{ technique: 'retrain' }] })).toMatchObject({
      code: 'not-found',
    });
  });

  test('after all that, no job was made', async () => {
    expect(await service.client.get('/v1/jobs')).toMatchObject({ items: [] });
  });
});
