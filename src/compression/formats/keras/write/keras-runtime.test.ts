/** Written files in Keras itself, where the benchmarks' peers are installed (npm run bench -- --peers). */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peersPython } from '../../../../../scripts/lib/peers.mjs';
import { halved } from '../../../../../test/support/halved.ts';
import { withWeights } from '../../../../../test/support/models.ts';
import type { Sample } from '../../../../../test/support/tfjs-runtime.ts';
import { projectRoot } from '../../../../process/entry.ts';
import type { RemovedChannels } from '../../../graph/channels/remove.ts';
import type { Model } from '../../../ir/types.ts';
import { openRuntime } from '../../../measure/session.ts';
import { writeOnnx } from '../../onnx/write.ts';
import { readModel } from '../../read-model.ts';
import { writeOwnFormat } from '../../write-model.ts';

const folder = join(projectRoot, 'test', 'data', 'keras');
const NAMES = [
  'cnn',
  'sequential',
  'recurrent',
  'attention',
  'nested',
  'volume',
  'chain',
  'joins',
  'transformer',
  'towers',
  'folding',
];
/** Keras 3.15 fails to load a MultiHeadAttention from the HDF5 that it wrote itself. */
const CASES = NAMES.flatMap((name) => ['keras', 'h5'].map((extension) => ({ name, extension }))).filter(
  ({ name, extension }) => !['attention', 'transformer'].includes(name) || extension !== 'h5',
);

/** Every second weight zero, the others smaller; variances stay positive. */
const pruned = (model: Model): RemovedChannels => ({
  model: withWeights(model, (value, i, name) =>
    name.includes('variance') ? value * 1.1 : i % 2 === 0 ? 0 : value * 0.9,
  ),
  kept: new Map(),
});

async function inOnnxruntime(model: Model, inputs: readonly Sample[]): Promise<Sample[]> {
  const runtime = await openRuntime(writeOnnx(model));
  const feeds = new Map(
    runtime.inputs.map(({ name, dtype }, i) => {
      const { shape, data } = inputs[i]!;
      return [
        name,
        dtype === 'int32'
          ? { dtype: 'int32' as const, shape, data: Int32Array.from(data) }
          : { dtype: 'float32' as const, shape, data: Float32Array.from(data) },
      ];
    }),
  );
  const outputs = await runtime.run(feeds);
  await runtime.release();
  return runtime.outputNames.map((name) => ({
    shape: [...outputs.get(name)!.dims],
    data: Array.from(outputs.get(name)!.data),
  }));
}

/** How the written models differ from the uploaded ones. */
const CHANGES: Readonly<
  Record<string, { change: (model: Model) => RemovedChannels; tolerance: number; fold: boolean }>
> = {
  'where weights changed': { change: pruned, tolerance: 2e-5, fold: false },
  'where half the channels were removed': { change: halved, tolerance: 1e-5, fold: false },
  'where normalizations were folded': {
    change: (model) => ({ model, kept: new Map() }),
    tolerance: 1e-5,
    fold: true,
  },
  'where half the channels were removed, and normalizations folded': { change: halved, tolerance: 1e-5, fold: true },
};

describe.skipIf(!existsSync(peersPython()))(
  'Keras computes from the written files what onnxruntime computes from the ONNX file',
  () => {
    let scratch: string;
    const written = new Map<string, WrittenFile[]>();
    let outputs: ReadonlyMap<string, readonly Sample[]>;
    beforeAll(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'lathe-keras-'));
      for (const [index, name] of Object.keys(CHANGES).entries())
        written.set(name, await writeFiles(CHANGES[name]!, join(scratch, String(index))));
      outputs = inKeras([...written.values()].flat());
    });
    afterAll(() => rmSync(scratch, { recursive: true }));

    it.each(Object.keys(CHANGES))('%s', (name) => {
      for (const { path, expected } of written.get(name)!)
        expectNear(path, outputs.get(path)!, expected, CHANGES[name]!.tolerance);
    });
  },
);

interface WrittenFile {
  readonly path: string;
  readonly inputs: readonly Sample[];
  /** Outputs of the changed model in onnxruntime. */
  readonly expected: readonly Sample[];
}

async function writeFiles({ change, fold }: (typeof CHANGES)[string], scratch: string): Promise<WrittenFile[]> {
  mkdirSync(scratch);
  const files: WrittenFile[] = [];
  for (const { name, extension } of CASES) {
    const upload = readFileSync(join(folder, `${name}.${extension}`));
    const { model, format } = await readModel(upload);
    const { inputs } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as { inputs: Sample[] };
    const path = join(scratch, `${name}.${extension}`);
    const { model: changed, kept } = change(model);
    writeFileSync(path, (await writeOwnFormat(upload, format, changed, { storage: 'own', kept, fold }))!.bytes);
    files.push({ path, inputs, expected: await inOnnxruntime(changed, inputs) });
  }
  return files;
}

/** One process for all files: importing Keras takes longer than all predictions. */
function inKeras(files: readonly WrittenFile[]): ReadonlyMap<string, readonly Sample[]> {
  const script = join(projectRoot, 'test', 'support', 'keras-predict.py');
  const outputs = JSON.parse(
    execFileSync(peersPython(), [script], {
      input: JSON.stringify({ files: files.map(({ path, inputs }) => ({ path, inputs })) }),
      maxBuffer: 2 ** 28,
      stdio: ['pipe', 'pipe', 'pipe'],
    }).toString(),
  ) as Sample[][];
  return new Map(files.map(({ path }, f) => [path, outputs[f]!]));
}

function expectNear(path: string, actual: readonly Sample[], expected: readonly Sample[], tolerance: number): void {
  expect([path, actual.length]).toEqual([path, expected.length]);
  expected.forEach(({ shape, data }, o) => {
    expect([path, actual[o]!.shape]).toEqual([path, shape]);
    const worst = Math.max(
      ...data.map((value, i) => Math.abs(value - actual[o]!.data[i]!) / Math.max(1, Math.abs(value))),
    );
    expect([path, worst < tolerance ? 'equal' : worst]).toEqual([path, 'equal']);
  });
}
