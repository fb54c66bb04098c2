/** The training engine on every Keras layer: what onnxruntime computes from the same graphs, gradients' paths open. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { writeOnnx } from '../../../src/compression/formats/onnx/write.ts';
import { readModel } from '../../../src/compression/formats/read-model.ts';
import { checkAgainstRuntime } from '../../../src/compression/agreement/agreement.ts';
import { startEngine } from '../../../src/compression/tensor/engine.ts';

beforeAll(async () => {
  await startEngine('auto');
});

const folder = join(import.meta.dirname, '../../data/keras/layers');
/** HDF5 holds the same models; those of Keras 2 are only there so. */
const FILES = readdirSync(folder).filter((name) => /\.keras\.gz$|^keras2.*\.h5\.gz$/.test(name));
const WITHOUT_WEIGHTS = /^(activation|pooling)\./;

it.each(FILES)('%s', async (file) => {
  const { model } = await readModel(readFileSync(join(folder, file)));
  const { trainable, untrainable } = await checkAgainstRuntime(writeOnnx(model), model);
  if (WITHOUT_WEIGHTS.test(file)) expect(untrainable[0]!.reason).toContain('no float weights');
  else expect({ trainable, untrainable }).toEqual({ trainable: true, untrainable: [] });
});
