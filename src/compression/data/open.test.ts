import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { deflateRawSync, gzipSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import yazl from 'yazl';
import { describeDataset, openDataset } from './open.ts';
import { openZip } from './zip.ts';
import { readNpy } from './npy.ts';
import { stat } from 'node:fs/promises';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lathe-data-'));
});
afterAll(() => rm(folder, { recursive: true }));

const fixture = (name: string) => join(import.meta.dirname, 'fixtures', name);
let count = 0;
async function zipped(files: Readonly<Record<string, Buffer>>, options: Partial<yazl.Options> = {}): Promise<string> {
  const zip = new yazl.ZipFile();
  for (const [path, bytes] of Object.entries(files)) zip.addBuffer(bytes, path, options);
  zip.end();
  const path = join(folder, `${count++}.zip`);
  await pipeline(zip.outputStream, createWriteStream(path));
  return path;
}
async function text(content: string): Promise<string> {
  const path = join(folder, `${count++}.csv`);
  await writeFile(path, content);
  return path;
}
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('was accepted');
    },
    (error: unknown) => error,
  );

describe('npz', () => {
  it('reads every numeric type, byte order and header version as NumPy wrote them', async () => {
    const path = fixture('types.npz');
    const zip = await openZip(path, (await stat(path)).size);
    for (const entry of zip.entries) {
      const array = await readNpy(await zip.stream(entry), entry.path);
      expect(array.shape, entry.path).toEqual([2, 3, 4]);
      const wanted = Array.from({ length: 24 }, (_, i) => (entry.path === 'le_b1.npy' ? i % 2 : i));
      expect(Array.from(array.rows([0, 1]).data, Number), entry.path).toEqual(wanted);
    }
    expect(zip.entries.length).toBe(21);
    zip.close();
  });

  it('keeps given splits and describes them', async () => {
    const dataset = await openDataset(fixture('splits.npz'), {});
    expect(dataset.description).toEqual({
      format: 'npz',
      samples: 48,
      splits: { train: 40, validation: 0, test: 8 },
      inputs: [{ name: 'x', dtype: 'uint8', shape: [5, 4, 3] }],
      target: { kind: 'classes', classes: 4 },
    });
    const read = await dataset.split('train').read([39, 0]);
    expect([...read.target!.data]).toEqual([3, 0]);
    await dataset.close();
  });

  it('takes one-hot rows as classes and holds a stratified tenth out for testing', async () => {
    const dataset = await openDataset(fixture('one_hot.npz'), {});
    expect(dataset.description.target).toEqual({ kind: 'classes', classes: 5 });
    expect(dataset.description.splits).toEqual({ train: 15, validation: 0, test: 5 });
    expect([...dataset.split('test').labels!].sort()).toEqual([0, 1, 2, 3, 4]);
    await dataset.close();
  });

  it('gives several inputs by name, and float targets as values', async () => {
    const { inputs, target } = await describeDataset(fixture('two_inputs.npz'), {});
    expect(inputs).toEqual([
      { name: 'left', dtype: 'float32', shape: [2] },
      { name: 'right', dtype: 'int64', shape: [3] },
    ]);
    expect(target).toEqual({ kind: 'values', classes: null, shape: [] });
  });

  it.each([
    ['objects.npz', /array "x": object arrays are pickles/],
    ['nan.npz', /array "x": NaN at element 3 \(sample 1\)/],
    ['infinite.npz', /array "x": -Infinity at element 5 \(sample 2\)/],
    ['beyond_float32.npz', /array "x": 1e\+300, which is beyond float32, at element 1 \(sample 0\)/],
    ['negative.npz', /label -1 of sample 2/],
    ['unequal.npz', /has 2 samples, "x" has 3/],
  ])('refuses %s', async (name, message) => {
    expect(await failure(describeDataset(fixture(name), {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringMatching(message) as unknown,
    });
  });

  it('refuses truncated data', async () => {
    const path = fixture('types.npz');
    const zip = await openZip(path, (await stat(path)).size);
    const whole = await zip.bytes(zip.entries.find((entry) => entry.path === 'le_f4.npy')!);
    zip.close();
    const cut = await zipped({ 'x.npy': whole.subarray(0, whole.length - 6) });
    expect(await failure(describeDataset(cut, {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining('"x"') as unknown,
    });
  });
});

/** An idx file of unsigned bytes. */
function idx(shape: readonly number[], values: readonly number[]): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.set([0, 0, 8, shape.length]);
  shape.forEach((size, i) => header.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([header, Buffer.from(values)]);
}

describe('idx', () => {
  const images = idx(
    [6, 2, 2],
    Array.from({ length: 24 }, (_, i) => i),
  );
  const labels = idx([6], [0, 1, 2, 0, 1, 2]);
  it('reads plain and gzipped files under any prefix', async () => {
    const path = await zipped({
      'a/emnist-train-images-idx3-ubyte.gz': gzipSync(images),
      'a/emnist-train-labels-idx1-ubyte.gz': gzipSync(labels),
      'a/emnist-test-images-idx3-ubyte': images,
      'a/emnist-test-labels-idx1-ubyte': labels,
    });
    const dataset = await openDataset(path, {});
    expect(dataset.description).toMatchObject({
      format: 'idx',
      samples: 12,
      splits: { train: 6, test: 6 },
      target: { kind: 'classes', classes: 3 },
    });
    const { inputs, target } = await dataset.split('test').read([5, 1]);
    expect(inputs.get('x')).toEqual({
      dtype: 'uint8',
      shape: [2, 2, 2],
      data: Uint8Array.of(20, 21, 22, 23, 4, 5, 6, 7),
    });
    expect(target!.data).toEqual(Int32Array.of(2, 1));
    await dataset.close();
  });
  it('names a file whose size contradicts its header', async () => {
    const path = await zipped({ 'train-images-idx3-ubyte': images.subarray(0, -1), 'train-labels-idx1-ubyte': labels });
    expect(await failure(describeDataset(path, {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining('train-images-idx3-ubyte') as unknown,
    });
  });
});

describe('images', () => {
  const png = (width: number, height: number, channels: 1 | 3, value: number) => {
    const image = sharp(Buffer.alloc(width * height * channels, value), { raw: { width, height, channels } });
    return (channels === 1 ? image.toColourspace('b-w') : image).png().toBuffer();
  };
  it('takes classes from folders below train and test, in order of their names', async () => {
    const path = await zipped({
      'pets/train/dog/1.png': await png(4, 3, 3, 10),
      'pets/train/cat/1.png': await png(4, 3, 3, 20),
      'pets/test/dog/2.png': await png(4, 3, 3, 30),
      '__MACOSX/pets/._x': Buffer.from('x'),
      'pets/readme.txt': Buffer.from('x'),
    });
    const dataset = await openDataset(path, {}, { verify: true });
    expect(dataset.description).toEqual({
      format: 'images',
      samples: 3,
      splits: { train: 2, validation: 0, test: 1 },
      inputs: [{ name: 'x', dtype: 'uint8', shape: [3, 4, 3] }],
      target: { kind: 'classes', classes: 2, names: ['cat', 'dog'] },
    });
    const { inputs, target } = await dataset.split('test').read([0]);
    expect(inputs.get('x')).toEqual({ dtype: 'uint8', shape: [1, 3, 4, 3], data: new Uint8Array(36).fill(30) });
    expect([...target!.data]).toEqual([1]);
    await dataset.close();
  });
  it('brings sizes and colours together', async () => {
    const path = await zipped({
      'a/1.png': await png(4, 4, 1, 7),
      'b/1.webp': await sharp(await png(9, 5, 3, 9))
        .webp({ lossless: true })
        .toBuffer(),
    });
    const dataset = await openDataset(path, {});
    expect(dataset.description.inputs[0]!.shape).toEqual([null, null, 3]);
    const { inputs } = await dataset.split('train').read([0, 1], { imageSize: [2, 2] });
    expect([...inputs.get('x')!.data]).toEqual([...Array<number>(12).fill(7), ...Array<number>(12).fill(9)]);
    await dataset.close();
  });
  it('names an image that cannot be decoded', async () => {
    const whole = await png(64, 64, 3, 1);
    const path = await zipped({ 'a/ok.png': whole, 'b/broken.png': whole.subarray(0, whole.length >> 1) });
    expect(await failure(describeDataset(path, {}))).toMatchObject({
      code: 'malformed-dataset',
      errors: [{ path: 'b/broken.png' }],
    });
  });
});

describe('csv', () => {
  it('codes texts one-hot and names of the target as classes', async () => {
    const path = await text('size;colour;kind\n1.5;red;b\n2;blue;a\n-3;red;b\n');
    const dataset = await openDataset(path, { target: 'kind' });
    expect(dataset.description).toMatchObject({
      format: 'csv',
      samples: 3,
      inputs: [{ name: 'x', dtype: 'float32', shape: [3] }],
      target: { kind: 'classes', classes: 2, names: ['a', 'b'] },
    });
    const rows = new Map<number, number[]>();
    for (const name of ['train', 'test'] as const) {
      const split = dataset.split(name);
      const { inputs, target } = await split.read(Array.from({ length: split.length }, (_, i) => i));
      for (let i = 0; i < split.length; i++)
        rows.set(inputs.get('x')!.data[3 * i] as number, [
          ...Array.from(inputs.get('x')!.data.slice(3 * i + 1, 3 * i + 3), Number),
          Number(target!.data[i]),
        ]);
    }
    expect(rows).toEqual(
      new Map([
        [1.5, [0, 1, 1]],
        [2, [1, 0, 0]],
        [-3, [0, 1, 1]],
      ]),
    );
    await dataset.close();
  });
  it('keeps numbers as class indices or values', async () => {
    const path = await text('a,b,c\n1,0,10.5\n2,1,20\n3,2,30\n');
    expect((await describeDataset(path, { target: 'b' })).target).toEqual({ kind: 'classes', classes: 3 });
    expect((await describeDataset(path, { target: 'c' })).target).toEqual({ kind: 'values', classes: null, shape: [] });
    expect((await describeDataset(path, { target: 'b', targetKind: 'values' })).target.kind).toBe('values');
    expect((await describeDataset(path, {})).target.kind).toBe('none');
  });
  it('names the line of a missing value and the columns there are', async () => {
    const path = await text('a,b\n1,2\n\n3,\n');
    expect(await failure(describeDataset(path, { target: 'b' }))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining('line 4') as unknown,
    });
    expect(await failure(describeDataset(await text('a,b\n1,2\n'), { target: 'z' }))).toMatchObject({
      code: 'invalid-request',
      errors: [{ path: 'target', message: 'columns are: a, b' }],
    });
    expect(await failure(describeDataset(await text('a,b\n1,2\n3\n'), { target: 'b' }))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining('line 3') as unknown,
    });
  });
});

/** The features of all rows, by row in the order of the file. */
async function features(table: string | Buffer, options: Record<string, string> = {}): Promise<number[][]> {
  const path = join(folder, `${count++}.csv`);
  await writeFile(path, table);
  const dataset = await openDataset(path, options);
  const rows: number[][] = [];
  for (const name of ['train', 'validation', 'test'] as const) {
    const split = dataset.split(name);
    if (split.length === 0) continue;
    const { inputs } = await split.read(Array.from({ length: split.length }, (_, i) => i));
    const { data, shape } = inputs.get('x')!;
    const width = shape[1]!;
    for (let row = 0; row < split.length; row++)
      rows.push(Array.from(data.slice(row * width, (row + 1) * width), Number));
  }
  await dataset.close();
  return rows.sort((a, b) => a[0]! - b[0]!);
}

describe('numbers of a csv file', () => {
  const float = Math.fround;
  it.each([
    ['decimal commas', 'row;a\n1;0,5\n2;-3,25\n3;7\n', [0.5, -3.25, 7]],
    ['decimal commas and dots between thousands', 'row;a\n1;1.234,5\n2;12\n3;1.234.567\n', [1234.5, 12, 1234567]],
    ['commas between thousands', 'row,a\n1,"1,234.5"\n2,12\n3,"1,234,567"\n', [1234.5, 12, 1234567]],
    ['spaces between thousands', 'row;a\n1;1 234,5\n2;0,25\n3;12\u00a0345\n', [1234.5, 0.25, 12345]],
    ['exponents', 'row,a\n1,1e3\n2,-2.5E-1\n3,.5\n', [1000, -0.25, 0.5]],
  ])('may have %s', async (_, table, expected) => {
    expect(await features(table)).toEqual(expected.map((value, i) => [i + 1, float(value)]));
  });
  it('take the style that another column of the table proves', async () => {
    expect(await features('row;a;b\n1;1,234;0,5\n2;2,500;1,5\n')).toEqual([
      [1, float(1.234), 0.5],
      [2, 2.5, 1.5],
    ]);
  });
  it.each([
    ['a;b\n1,234;x\n2,500;y\n', 'line 2: column "a": "1,234" may have a decimal or a thousands separator'],
    ['a;b\n1.234;0,5\n2.500;1,25\n', 'line 2: column "a": "1.234" may have a decimal or a thousands separator'],
    ['a,b\n1,1\n2,2\nthree,3\n4,4\n', 'line 4: column "a" holds numbers in 3 of 4 rows, and "three" is none'],
    ['a,b\n1,12%\n2,7%\n3,5\n4,6\n5,7\n', 'line 2: column "b" holds numbers in 3 of 5 rows, and "12%" is none'],
    ['a,b\n1,2024-05-01\n2,2024-05-02\n', 'column "b": holds dates'],
    ['a,b\n1,31.12.2024 10:00\n2,01.01.2025 11:30\n', 'column "b": holds dates'],
  ])('are never taken for categories: %j', async (table, message) => {
    expect(await failure(describeDataset(await text(table), {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining(message) as unknown,
    });
  });
  it('may be names of classes, where the request says so', async () => {
    const path = await text('x,age\n1,20\n2,30\n3,40\n4,50+\n');
    expect((await describeDataset(path, { target: 'age', targetKind: 'classes' })).target).toEqual({
      kind: 'classes',
      classes: 4,
      names: ['20', '30', '40', '50+'],
    });
  });
});

describe('text of a csv file', () => {
  const table = 'row,größe\n1,2.5\n2,3.5\n';
  const expected = [
    [1, 2.5],
    [2, 3.5],
  ];
  it.each([
    ['UTF-8 with a mark', Buffer.from(`\ufeff${table}`)],
    ['UTF-16, little-endian', Buffer.from(`\ufeff${table}`, 'utf16le')],
    ['UTF-16, big-endian', Buffer.from(`\ufeff${table}`, 'utf16le').swap16()],
  ])('is read: %s', async (_, bytes) => {
    expect(await features(bytes)).toEqual(expected);
  });
  it.each([
    ['line 1', Buffer.from(table, 'latin1')],
    ['line 3', Buffer.from('row,name\n1,ascii\n2,café\n3,x\n', 'latin1')],
    ['line 70001', Buffer.concat([Buffer.from(`a,b\n${'1,größe\n'.repeat(69_999)}`), Buffer.from('2,é', 'latin1')])],
  ])('in Latin-1 is refused with its place: %s', async (place, bytes) => {
    const path = join(folder, `${count++}.csv`);
    await writeFile(path, bytes);
    expect(await failure(describeDataset(path, {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringMatching(new RegExp(`^${place}: not UTF-8: byte 0x`)) as unknown,
    });
  });
});

/** A zip with one entry under any name and mode, since yazl (rightly) refuses to write bad names. */
function rawZip(name: string, data: Buffer, { mode = 0o100644, size = data.length } = {}): Buffer {
  const packed = deflateRawSync(data);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(20, 4);
  local.writeUInt16LE(8, 8);
  local.writeUInt32LE(packed.length, 18);
  local.writeUInt32LE(size, 22);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt16LE((3 << 8) | 20, 4);
  central.writeUInt16LE(20, 6);
  central.writeUInt16LE(8, 10);
  central.writeUInt32LE(packed.length, 20);
  central.writeUInt32LE(size, 24);
  central.writeUInt16LE(name.length, 28);
  central.writeUInt32LE((mode << 16) >>> 0, 38);
  const end = Buffer.alloc(22);
  const start = local.length + name.length + packed.length;
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + name.length, 12);
  end.writeUInt32LE(start, 16);
  return Buffer.concat([local, Buffer.from(name), packed, central, Buffer.from(name), end]);
}

describe('hostile files', () => {
  const saved = async (bytes: Buffer) => {
    const path = join(folder, `${count++}.bin`);
    await writeFile(path, bytes);
    return path;
  };
  it('refuses a bomb before unpacking it, and one that lies about its size', async () => {
    const limits = { entries: 10, totalBytes: 2 ** 30, ratio: 100, ratioFromBytes: 2 ** 20 };
    const bomb = rawZip('x.npy', Buffer.alloc(8 * 2 ** 20));
    expect(await failure(openDataset(await saved(bomb), {}, { limits }))).toMatchObject({
      code: 'too-large',
      errors: [{ path: 'x.npy' }],
    });
    const liar = rawZip('train-images-idx3-ubyte', Buffer.alloc(8 * 2 ** 20), { size: 100 });
    expect(await failure(openDataset(await saved(liar), {}, { limits }))).toMatchObject({ code: 'malformed-dataset' });
    const inner = await zipped({
      'train-images-idx3-ubyte.gz': gzipSync(idx([2048, 64, 64], Array<number>(2048 * 4096).fill(0))),
    });
    expect(await failure(openDataset(inner, {}, { limits }))).toMatchObject({ code: 'too-large' });
  });
  it('refuses links, names outside the archive, and too many entries', async () => {
    expect(
      await failure(openDataset(await saved(rawZip('x.npy', Buffer.from('/etc/passwd'), { mode: 0o120777 })), {})),
    ).toMatchObject({ code: 'malformed-dataset', errors: [{ path: 'x.npy', message: 'is a symbolic link' }] });
    expect(await failure(openDataset(await saved(rawZip('../x.npy', Buffer.from('x'))), {}))).toMatchObject({
      code: 'malformed-dataset',
      message: expect.stringContaining('../x.npy') as unknown,
    });
    const many = await zipped({ 'a/1.png': Buffer.from(''), 'a/2.png': Buffer.from('') });
    expect(
      await failure(
        openDataset(many, {}, { limits: { entries: 1, totalBytes: 1e9, ratio: 100, ratioFromBytes: 1e6 } }),
      ),
    ).toMatchObject({ code: 'too-large' });
  });
  it.each([
    ['empty', Buffer.alloc(0), 'malformed-dataset'],
    ['random', Buffer.from(Array.from({ length: 999 }, (_, i) => (i * 7919) % 251)), 'unsupported-format'],
    ['parquet', Buffer.from('PAR1....'), 'unsupported-format'],
    ['a zip of something else', rawZip('notes.pdf', Buffer.from('x')), 'unsupported-format'],
  ])('tells what is wrong with %s', async (_name, bytes, code) => {
    expect(await failure(openDataset(await saved(bytes), {}))).toMatchObject({ code });
  });
  it('refuses a truncated archive', async () => {
    const whole = await readFile(fixture('splits.npz'));
    expect(await failure(openDataset(await saved(whole.subarray(0, whole.length - 30)), {}))).toMatchObject({
      code: 'malformed-dataset',
    });
  });
});
