/** Keras files: version 2's whole-model HDF5 and version 3's `.keras` archive. */
import { LatheError } from '../../../errors.ts';
import type { Model } from '../../ir/types.ts';
import { convertKeras } from './convert.ts';
import type { Hdf5Node } from './hdf5.ts';
import type { Config } from './layer.ts';
import { AS_STORED, type ReadOptions } from './read-options.ts';
import { keras3Source, legacyH5Source } from './weights.ts';

/** Reads a whole-model HDF5 file (`model.save('x.h5')`). A file of weights alone has no topology and is refused. */
export async function readKerasH5(bytes: Uint8Array, reading: ReadOptions = AS_STORED): Promise<Model> {
  return withHdf5(bytes, (root) => {
    const config = root.attribute('model_config');
    const weights = root.group('model_weights');
    if (config === undefined || !weights) {
      throw new LatheError(
        'unsupported-format',
        'This HDF5 file holds only weights, not a model: save the whole model (model.save) instead of its weights',
      );
    }
    const version = String(root.attribute('keras_version') ?? weights.attribute('keras_version') ?? '2');
    return convertKeras(parseJson(config, 'model_config'), {
      weights: () => legacyH5Source(weights),
      kerasMajor: majorOf(version),
      runtime: 'keras',
      reading,
    });
  });
}

/** Reads the members of a `.keras` archive. */
export async function readKerasArchive(
  members: ReadonlyMap<string, Uint8Array>,
  reading: ReadOptions = AS_STORED,
): Promise<Model> {
  const [config, weights] = [members.get('config.json'), members.get('model.weights.h5')];
  if (!config || !weights)
    throw new LatheError('malformed-model', `The .keras archive lacks ${config ? 'model.weights.h5' : 'config.json'}`);
  const metadata = members.get('metadata.json');
  const version = metadata ? String(parseJson(decode(metadata), 'metadata.json')['keras_version'] ?? '3') : '3';
  return withHdf5(weights, (root) =>
    convertKeras(parseJson(decode(config), 'config.json'), {
      weights: (layers) => keras3Source(root, layers),
      kerasMajor: majorOf(version),
      runtime: 'keras',
      reading,
    }),
  );
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const majorOf = (version: string): number => Number.parseInt(version, 10) || 2;

function parseJson(value: unknown, place: string): Config {
  try {
    return JSON.parse(typeof value === 'string' ? value : decode(value as Uint8Array)) as Config;
  } catch (error) {
    throw new LatheError(
      'malformed-model',
      `${place} is not valid JSON: ${(error as Error).message}`,
      [{ path: place, message: 'not valid JSON' }],
      { cause: error },
    );
  }
}

/** HDF5's library is loaded where a file needs it: compiling it takes a tenth of a second. */
async function withHdf5<T>(bytes: Uint8Array, use: (root: Hdf5Node) => T): Promise<T> {
  const hdf5 = await import('./hdf5.ts');
  return hdf5.withHdf5(bytes, use);
}
