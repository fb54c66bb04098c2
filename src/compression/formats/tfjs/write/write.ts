/**
 * Representation -> TF.js graph-model: `model.json` and shards, which run in a browser (`tf.loadGraphModel`) and in
 * Node.
 */
import { existing, itemOf } from '../../../ir/checked-access.ts';
import { constantTensor } from '../../../ir/constants.ts';
import { topologicalOrder } from '../../../ir/edit.ts';
import { inferShapes } from '../../../graph/infer.ts';
import { constantsAsInitializers } from '../../../graph/passes/constants-as-initializers.ts';
import { foldBatchNorm } from '../../../graph/passes/fold-batch-norm.ts';
import { foldConstants } from '../../../graph/passes/fold-constants.ts';
import { inlineFunctions } from '../../../graph/passes/inline-functions.ts';
import { removeIdentities } from '../../../graph/passes/remove-identities.ts';
import { resolveControlFlow } from '../../../graph/passes/resolve-control-flow.ts';
import { toHost } from '../../../ir/tensor-data.ts';
import type { Model, TensorType, ValueInfo } from '../../../ir/types.ts';
import { modelInputs } from '../../../graph/describe.ts';
import { CHANNELS_LAST, toChannelsLast } from './channels-last.ts';
import { WriteContext, type Writer, type Writers } from './context.ts';
import { elementwise } from './elementwise.ts';
import { shardWeights, type ShardPrecision } from './shards.ts';
import { spatial } from './spatial.ts';
import { structure } from './structure.ts';
import { shapeOf, TfGraph, tfType, typeAttribute } from './tf-graph.ts';

export interface TfjsOptions {
  /** Stored form of the weights; the runtime computes in float32 whichever it is. */
  readonly weights?: ShardPrecision;
}

const WRITERS = new Map<string, Writer>([
  ...domain('', elementwise),
  ...domain('', structure),
  ...domain(CHANNELS_LAST, spatial),
]);

function domain(name: string, writers: Writers): [string, Writer][] {
  return Object.entries(writers).map(([type, writer]) => [`${name}:${type}`, writer]);
}

/**
 * Writes the model as the files of a TF.js graph-model, by name. BatchNormalization is folded into the product before
 * it; images are computed with channels last, while inputs and outputs keep the model's own order of axes.
 * @throws LatheError `unsupported-operator` with the node that TF.js has no form for.
 */
export function writeTfjs(model: Model, options: TfjsOptions = {}): Map<string, Uint8Array> {
  const ready = toChannelsLast(
    foldBatchNorm(removeIdentities(foldConstants(resolveControlFlow(constantsAsInitializers(inlineFunctions(model)))))),
  );
  const { tf, references } = writeGraph(ready);
  const { manifest, shards } = shardWeights(tf.weights, options.weights ?? 'float32');
  const json = {
    format: 'graph-model',
    generatedBy: 'Lathe',
    convertedBy: 'Lathe',
    signature: {
      inputs: signature(modelInputs(model.graph), references),
      outputs: signature(ready.graph.outputs, references),
    },
    // the graph version of TensorFlow 2.12, which defines the operators' attributes
    modelTopology: { node: tf.nodes, library: {}, versions: { producer: 1395 } },
    weightsManifest: manifest,
  };
  return new Map([['model.json', new TextEncoder().encode(JSON.stringify(json))], ...shards]);
}

function writeGraph(model: Model): { tf: TfGraph; references: ReadonlyMap<string, string> } {
  const tf = new TfGraph();
  const table = inferShapes(model);
  const references = new Map<string, string>();
  for (const { name, type } of modelInputs(model.graph)) references.set(name, placeholder(tf, name, type));
  const reference = (name: string): string => {
    const known = references.get(name);
    if (known !== undefined) return known;
    const tensor = model.graph.initializers.get(name);
    // validated graphs in topological order have none
    if (!tensor) throw new Error(`value "${name}" is read before it is computed`);
    const made = tf.constant(toHost(tensor), name);
    references.set(name, made);
    return made;
  };
  for (const node of topologicalOrder(model.graph)) {
    const constant = constantTensor(node);
    const ctx = new WriteContext(node, table, tf, reference);
    const outputs = constant
      ? tf.constant(toHost(constant), itemOf(node.outputs, 0, 'the list of outputs'))
      : (WRITERS.get(`${node.domain}:${node.opType}`) ?? unknown)(ctx);
    node.outputs.forEach((name, i) => {
      if (name !== '')
        references.set(name, typeof outputs === 'string' ? outputs : itemOf(outputs, i, 'the list of outputs'));
    });
  }
  for (const { name, type } of model.graph.outputs)
    references.set(
      name,
      tf.op(
        'Identity',
        [reference(name)],
        { T: typeAttribute(tfType(type?.dtype ?? table.typeOf(name)?.dtype ?? 'float32')) },
        name,
      ),
    );
  return { tf, references };
}

const unknown: Writer = (ctx) => ctx.refuse(`operator ${ctx.node.opType} is not supported`);

function placeholder(tf: TfGraph, name: string, type: TensorType | null): string {
  return tf.op(
    'Placeholder',
    [],
    {
      dtype: typeAttribute(tfType(type?.dtype ?? 'float32')),
      ...(type?.shape && { shape: { shape: shapeOf(type.shape) } }),
    },
    name,
  );
}

function signature(values: readonly ValueInfo[], references: ReadonlyMap<string, string>): object {
  const entries = values.map(({ name, type }) => {
    const dtype = typeAttribute(tfType(type?.dtype ?? 'float32'));
    return [
      name,
      {
        name: `${existing(references.get(name), `the node of "${name}"`)}:0`,
        dtype: 'type' in dtype ? dtype.type : '',
        ...(type?.shape && { tensorShape: shapeOf(type.shape) }),
      },
    ] as const;
  });
  return Object.fromEntries(entries);
}
