/** TF.js itself on the files of layers-models and graph-models. */
import type * as tfjs from '@tensorflow/tfjs';
import { tf } from '../../src/compression/tensor/tf.ts';

export interface Sample {
  readonly shape: number[];
  readonly data: number[];
}

interface ModelJson {
  readonly modelTopology: object;
  readonly weightsManifest: { readonly paths: string[]; readonly weights: tfjs.io.WeightsManifestEntry[] }[];
}

/** The first output for one input. */
export async function runLayersModel(files: ReadonlyMap<string, Uint8Array>, { shape, data }: Sample): Promise<Sample> {
  const model = await tf.loadLayersModel(inMemory(files));
  const result = model.predict(tf.tensor(data, shape));
  const first = Array.isArray(result) ? result[0]! : result;
  return { shape: first.shape, data: Array.from(await first.data()) };
}

/** The outputs of these names, for inputs by name. */
export async function runGraphModel(
  files: ReadonlyMap<string, Uint8Array>,
  inputs: ReadonlyMap<string, Sample>,
  outputs: readonly string[],
): Promise<Sample[]> {
  const model = await tf.loadGraphModel(inMemory(files));
  const tensors = Object.fromEntries(
    [...inputs].map(([name, { shape, data }]) => [
      name,
      tf.tensor(data, shape, model.inputs.find((input) => input.name === name)?.dtype),
    ]),
  );
  const results = [await model.executeAsync(tensors, [...outputs])].flat();
  return Promise.all(results.map(async (tensor) => ({ shape: tensor.shape, data: Array.from(await tensor.data()) })));
}

function inMemory(files: ReadonlyMap<string, Uint8Array>): tfjs.io.IOHandler {
  const json = JSON.parse(Buffer.from(files.get('model.json')!).toString()) as ModelJson;
  const weightData = new Uint8Array(
    Buffer.concat(json.weightsManifest.flatMap(({ paths }) => paths.map((path) => files.get(path)!))),
  ).buffer;
  return {
    load: async () => ({ ...json, weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights), weightData }),
  };
}
