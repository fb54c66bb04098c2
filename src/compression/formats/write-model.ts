/** The graph -> a file of the format it was uploaded in. */
import { isUnsupportedOperator, LatheError } from '../../errors.ts';
import type { ModelFormat } from '../../contracts/model.ts';
import type { Model } from '../ir/types.ts';
import { packZip } from './archive.ts';
import type { Kept } from './keras/write/collect.ts';
import { writeKerasArchive, writeKerasH5, type KerasPrecision, type WrittenKeras } from './keras/write/write.ts';
import { openUpload, type OpenedUpload } from './read-model.ts';
import { shardPrecision, writeLayersModel } from './tfjs/write/layers-model.ts';
import type { ShardPrecision } from './tfjs/write/shards.ts';
import { writeTfjs } from './tfjs/write/write.ts';

/** How weights are stored. TF.js has all of them, Keras the floats; `own`: as the upload has them. */
export type WeightStorage = 'own' | ShardPrecision;

export interface WrittenModel {
  readonly format: ModelFormat;
  /** As a file of this kind is usually called. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** As the weights are stored now. */
  readonly storage: ShardPrecision;
  /** Names of the layers that normalize and were folded into those before them. */
  readonly folded: readonly string[];
}

export interface OwnFormatOptions {
  readonly storage: WeightStorage;
  /** Of initializers that lost channels, the indices of the uploaded one's that are left, by axis. */
  readonly kept?: Kept;
  /** Whether to fold normalizations of a layered format, as quantizing folds those of the graph. */
  readonly fold?: boolean;
}

/**
 * `model` in the format of the upload that it was read from; null for ONNX, which needs none. A TF.js layers-model
 * whose topology cannot say what was changed comes back as a graph-model.
 * @throws LatheError `unsupported-operator` where the format cannot say what was changed, or cannot store the weights
 * so.
 */
export async function writeOwnFormat(
  upload: Uint8Array,
  format: ModelFormat,
  model: Model,
  { storage, kept = new Map(), fold = false }: OwnFormatOptions,
): Promise<WrittenModel | null> {
  const opened = await openUpload(upload);
  switch (opened.kind) {
    case 'onnx':
      return null;
    case 'keras-h5':
      return {
        format,
        name: 'model.h5',
        ...(await kerasFile(storage, (precision) => writeKerasH5(opened.bytes, model, { precision, kept, fold }))),
      };
    case 'keras':
      return {
        format,
        name: 'model.keras',
        ...(await kerasFile(storage, (precision) =>
          writeKerasArchive(opened.members, model, { precision, kept, fold }),
        )),
      };
    case 'tfjs':
      return tfjsFile(opened, format, model, { asked: storage, kept, fold });
  }
}

async function kerasFile(
  storage: WeightStorage,
  write: (precision: KerasPrecision) => Promise<WrittenKeras>,
): Promise<Pick<WrittenModel, 'bytes' | 'storage' | 'folded'>> {
  if (storage === 'uint8' || storage === 'uint16')
    throw new LatheError('unsupported-operator', 'Keras files hold float weights only');
  const precision = storage === 'own' ? 'float32' : storage;
  return { ...(await write(precision)), storage: precision };
}

interface TfjsWriting {
  readonly asked: WeightStorage;
  readonly kept: Kept;
  readonly fold: boolean;
}

async function tfjsFile(
  { members }: Extract<OpenedUpload, { members: unknown }>,
  format: ModelFormat,
  model: Model,
  { asked, kept, fold }: TfjsWriting,
): Promise<WrittenModel> {
  const storage = asked === 'own' ? shardPrecision(members) : asked;
  if (format === 'tfjs-layers') {
    try {
      const { members: written, folded } = await writeLayersModel(members, model, { precision: storage, kept, fold });
      return { format, name: TFJS_FILE, bytes: await packZip(written), storage, folded };
    } catch (error) {
      if (!isUnsupportedOperator(error)) throw error;
    }
  }
  return writeGraphModel(model, storage);
}

/**
 * Any model as a TF.js graph-model, which browsers run. @throws LatheError `unsupported-operator` with the node that
 * TF.js has no form for.
 */
export async function writeGraphModel(model: Model, storage: ShardPrecision): Promise<WrittenModel> {
  return {
    format: 'tfjs-graph',
    name: TFJS_FILE,
    bytes: await packZip(writeTfjs(model, { weights: storage })),
    storage,
    folded: [],
  };
}

const TFJS_FILE = 'model.tfjs.zip';
