/** TF.js itself on the files of a layers-model. */
import type * as tfjs from '@tensorflow/tfjs';
import { tf, type TfTensor } from '../../src/compression/tensor/tf.ts';

export interface Sample { readonly shape: number[]; readonly data: number[] }

interface ModelJson {
  readonly modelTopology: object;
  readonly weightsManifest: { readonly paths: string[]; readonly weights: tfjs.io.WeightsManifestEntry[] }[];
}

/** The first output for one input. */
export async function runLayersModel(files: ReadonlyMap<string, Uint8Array>, { shape, data }: Sample): Promise<Sample> {
  const json = JSON.parse(Buffer.from(files.get('model.json')!).toString()) as ModelJson;
  const weightData = new Uint8Array(Buffer.concat(json.weightsManifest.flatMap(({ paths }) => paths.map((path) => files.get(path)!)))).buffer;
  const model = await tf.loadLayersModel({ load: async () => ({ ...json, weightSpecs: json.weightsManifest.flatMap(({ weights }) => weights), weightData }) });
  const result = model.predict(tf.tensor(data, shape)) as TfTensor | TfTensor[];
  const first = Array.isArray(result) ? result[0]! : result;
  return { shape: first.shape, data: Array.from(await first.data()) };
}
