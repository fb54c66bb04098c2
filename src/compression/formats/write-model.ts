/** The graph -> a file of the format it was uploaded in. */
import type { ModelFormat } from '../../contracts/model.ts';
import { weights } from '../graph/describe.ts';
import type { Model } from '../graph/types.ts';
import { packZip } from './archive.ts';
import { writeOnnx } from './onnx/write.ts';
import type { ShardPrecision } from './tfjs/write/shards.ts';
import { writeTfjs } from './tfjs/write/write.ts';

/** Formats that Lathe writes besides ONNX. A layers-model comes back as a graph-model, which the same runtime loads. */
export type WrittenFormat = 'onnx' | 'tfjs-graph';

/** The format that models uploaded in `format` can be written back in; null: there is only ONNX. */
export function writtenFormat(format: ModelFormat): WrittenFormat | null {
  if (format === 'onnx') return 'onnx';
  return format.startsWith('tfjs-') ? 'tfjs-graph' : null;
}

/**
 * Encodes the model: ONNX as it is, TF.js as a zip of model.json and its shards. TF.js weights are stored as `precision` says; by default in
 * float16 where most of the model's are, else in float32.
 * @throws LatheError `unsupported-operator` with the node that the format has no form for.
 */
export async function writeModel(model: Model, format: WrittenFormat, precision?: ShardPrecision): Promise<Uint8Array> {
  if (format === 'onnx') return writeOnnx(model);
  return packZip(writeTfjs(model, { weights: precision ?? ownPrecision(model) }));
}

function ownPrecision(model: Model): ShardPrecision {
  let [half, all] = [0, 0];
  for (const { dtype, bytes } of weights(model.graph)) {
    all += bytes.length;
    if (dtype === 'float16') half += bytes.length;
  }
  return half * 2 > all ? 'float16' : 'float32';
}
