/** TF.js models: layers-models (a Keras topology) and graph-models (a frozen TensorFlow graph). */
import { LatheError } from '../../../errors.ts';
import type { Model } from '../../ir/types.ts';
import { foldConstants } from '../../graph/passes/fold-constants.ts';
import { removeIdentities } from '../../graph/passes/remove-identities.ts';
import { sinkTransposes } from '../../graph/passes/sink-transposes.ts';
import { convertKeras } from '../keras/convert.ts';
import type { Config } from '../keras/layer.ts';
import { AS_STORED, type ReadOptions } from '../keras/read-options.ts';
import { namedSource } from '../keras/weights.ts';
import { convertGraphModel, type GraphDef, type Signature } from './graph-model.ts';
import { readManifest, type TfjsWeight } from './manifest.ts';

interface ModelJson {
  readonly format?: string;
  readonly modelTopology?: Record<string, unknown>;
  readonly weightsManifest?: unknown;
  readonly signature?: Signature;
  readonly userDefinedMetadata?: { readonly signature?: Signature };
}

/** Reads the members of a TF.js archive (`model.json` and its shards beside it). */
export function readTfjs(
  members: ReadonlyMap<string, Uint8Array>,
  reading: ReadOptions = AS_STORED,
): { format: 'tfjs-layers' | 'tfjs-graph'; model: Model } {
  const json = parse(members.get('model.json')!);
  const topology = json.modelTopology;
  if (!topology)
    throw new LatheError(
      'unsupported-format',
      'model.json has no modelTopology: upload the whole model, not only its weights',
    );
  const weights = readManifest(json.weightsManifest, members);
  if (Array.isArray(topology['node'])) {
    const signature = json.signature ?? json.userDefinedMetadata?.signature;
    return {
      format: 'tfjs-graph',
      model: tidy(convertGraphModel(topology as unknown as GraphDef, weights, signature)),
    };
  }
  return { format: 'tfjs-layers', model: readLayersModel(topology, weights, reading) };
}

/**
 * Each TensorFlow operator was converted on its own, with transposes round every convolution: what cancels is taken
 * out.
 */
function tidy(model: Model): Model {
  return sinkTransposes(removeIdentities(foldConstants(model)));
}

function readLayersModel(
  topology: Record<string, unknown>,
  weights: ReadonlyMap<string, TfjsWeight>,
  reading: ReadOptions,
): Model {
  const config = (topology['model_config'] ?? topology) as Config;
  const entries = [...weights.values()].map(({ name, dims, values }) => ({
    name,
    read: () => ({ dims, values: Float32Array.from(values), place: name }),
  }));
  // TF.js implements Keras 2's definitions, whatever version exported the file.
  return convertKeras(config, { weights: () => namedSource(entries), kerasMajor: 2, runtime: 'tfjs', reading });
}

function parse(bytes: Uint8Array): ModelJson {
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as ModelJson;
  } catch (error) {
    throw new LatheError(
      'malformed-model',
      `model.json is not valid JSON: ${(error as Error).message}`,
      [{ path: 'model.json', message: 'not valid JSON' }],
      { cause: error },
    );
  }
}
