/** Written files in Keras itself, where the benchmarks' peers are installed (npm run bench -- --peers). */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
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

describe.skipIf(!existsSync(peersPython()))(
  'Keras computes from the written files what onnxruntime computes from the ONNX file',
  () => {
    it('where weights changed', () => compare(pruned, 2e-5), 120_000);
    it('where half the channels were removed', () => compare(halved, 1e-5), 120_000);
    it('where normalizations were folded', () => compare((model) => ({ model, kept: new Map() }), 1e-5, true), 120_000);
    it('where half the channels were removed, and normalizations folded', () => compare(halved, 1e-5, true), 120_000);
  },
);

async function compare(change: (model: Model) => RemovedChannels, tolerance: number, fold = false): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), 'lathe-keras-'));
  try {
    const files: { path: string; inputs: Sample[] }[] = [];
    const expected: Sample[][] = [];
    for (const { name, extension } of CASES) {
      const upload = readFileSync(join(folder, `${name}.${extension}`));
      const { model, format } = await readModel(upload);
      const { inputs } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as { inputs: Sample[] };
      const path = join(scratch, `${name}.${extension}`);
      const { model: changed, kept } = change(model);
      writeFileSync(path, (await writeOwnFormat(upload, format, changed, 'own', kept, fold))!.bytes);
      files.push({ path, inputs });
      expected.push(await inOnnxruntime(changed, inputs));
    }
    const script = join(projectRoot, 'test', 'support', 'keras-predict.py');
    const actual = JSON.parse(
      execFileSync(peersPython(), [script], {
        input: JSON.stringify({ files }),
        maxBuffer: 2 ** 28,
        stdio: ['pipe', 'pipe', 'pipe'],
      }).toString(),
    ) as Sample[][];
    expected.forEach((outputs, f) =>
      outputs.forEach(({ shape, data }, o) => {
        expect([files[f]!.path, actual[f]![o]!.shape]).toEqual([files[f]!.path, shape]);
        const worst = Math.max(
          ...data.map((value, i) => Math.abs(value - actual[f]![o]!.data[i]!) / Math.max(1, Math.abs(value))),
        );
        expect([files[f]!.path, worst < tolerance ? 'equal' : worst]).toEqual([files[f]!.path, 'equal']);
      }),
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
}
