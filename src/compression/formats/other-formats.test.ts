/** What people upload by mistake is called by its name, bare and in archives; no file of ONNX is taken for it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, expect, it } from 'vitest';
import { writeZip } from '../../../test/support/datasets.ts';
import { identityModel } from '../../../test/support/onnx-bytes.ts';
import { openUpload } from './read-model.ts';

const latin = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'unsupported-format', message: expect.stringMatching(message) });
const folder = mkdtempSync(join(tmpdir(), 'lathe-other-formats-'));
afterAll(() => rmSync(folder, { recursive: true }));
const padding = '\0'.repeat(100);

it.each<[string, string, RegExp]>([
  ["onnxruntime's own format", `\x18\0\0\0ORTM${padding}`, /onnxruntime's own format/],
  ['TensorFlow Lite', `\x1c\0\0\0TFL3${padding}`, /TensorFlow Lite/],
  ['safetensors', '\x40\0\0\0\0\0\0\0{"w":{"dtype":"F32"}}', /safetensors/],
  ['a pickle of protocol 4', `\x80\x04\x95${padding}`, /pickle/],
  ['a picture', `\x89PNG\r\n\x1a\n${padding}`, /picture/],
  ['a Git LFS pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n', /Git LFS pointer/],
  ['JSON', '{"modelTopology":{}}', /JSON alone/],
  ['a tar archive', `${'model.onnx'.padEnd(257, '\0')}ustar\0${padding}`, /tar archive/],
  ['xz', `\xfd7zXZ\0${padding}`, /gzip or zip/],
])('%s', async (_, text, message) => {
  await expect(openUpload(latin(text))).rejects.toThrow(refused(message));
  await expect(openUpload(gzipSync(latin(text)))).rejects.toThrow(refused(message));
});

it.each([
  ['a script', 'import torch\nmodel = torch.nn.Linear(2, 2)\n'],
  ['a letter', 'x'],
  ['a web page', '<!DOCTYPE html><html><body>Not found</body></html>'],
])('%s is text', async (_, text) => {
  await expect(openUpload(latin(text))).rejects.toThrow(
    expect.objectContaining({ code: 'malformed-model', message: 'The file is text, not a model' }),
  );
});

it.each<[string, string, RegExp]>([
  ['PyTorch', 'archive/data.pkl', /PyTorch/],
  ['a SavedModel', 'model/saved_model.pb', /SavedModel/],
])('an archive of %s', async (_, member, message) => {
  const path = await writeZip(join(folder, 'model.zip'), {
    [member]: Buffer.from('x'),
    'archive/version': Buffer.from('3'),
  });
  await expect(openUpload(readFileSync(path))).rejects.toThrow(refused(message));
});

it('ONNX is let through, whatever field it begins with', async () => {
  const file = identityModel(17);
  const turned = Uint8Array.from([...file.subarray(2), ...file.subarray(0, 2)]); // the IR version behind the graph
  for (const bytes of [file, turned]) await expect(openUpload(bytes)).resolves.toMatchObject({ kind: 'onnx' });
});
