/** A network's features: the values between its layers, which can guide a student. */
import type { Batch } from '../../data/dataset.ts';
import { indexGraph, type GraphIndex } from '../../ir/edit.ts';
import { inferShapes, type TypeTable } from '../../graph/infer.ts';
import { layersOf, stagesOf } from '../../graph/stages.ts';
import { isFloat } from '../../ir/tensor-data.ts';
import type { Dim } from '../../ir/types.ts';
import { computed } from '../../network/lower.ts';
import type { Network } from '../../network/network.ts';

export interface Feature {
  readonly name: string;
  /** [samples, ...] for one batch; null: a size known only when it runs. */
  readonly shape: readonly (number | null)[];
  /** Counted from 0. */
  readonly channelAxis: number;
}

export class Features {
  /** The values after each layer but the last, in order. */
  readonly layers: readonly Feature[];
  private readonly producer: GraphIndex['producer'];
  private readonly types: TypeTable;

  constructor(network: Network, batch: Batch) {
    const model = computed(network.model);
    this.producer = indexGraph(model.graph).producer;
    this.types = inferShapes(model, { inputShapes: shapesFor(network, batch) });
    const layers = layersOf(stagesOf(model.graph, model.opsets)).slice(0, -1);
    this.layers = layers.map(({ output }) => this.find(output)).filter((feature) => feature !== null);
  }

  /** The float value of this name in the main graph, of rank 2 or more; null if there is none. */
  find(name: string): Feature | null {
    const type = this.types.typeOf(name);
    if (!type?.shape || type.shape.length < 2 || !isFloat(type.dtype) || !this.producer.has(name)) return null;
    return { name, shape: type.shape.map(sizeOf), channelAxis: this.channelAxis(name, type.shape.length) };
  }

  /** Axis 1 after image operators, the last axis after matrix products; by the rank if neither is near. */
  private channelAxis(name: string, rank: number): number {
    let node = this.producer.get(name);
    for (let steps = 0; node && steps < MAX_STEPS; steps++) {
      if (CHANNELS_FIRST.has(node.opType)) return 1;
      if (CHANNELS_LAST.has(node.opType)) return rank - 1;
      node = MOVES.has(node.opType)
        ? undefined
        : node.inputs.map((input) => this.producer.get(input)).find((before) => before !== undefined);
    }
    return rank >= 4 ? 1 : rank - 1;
  }
}

const MAX_STEPS = 16;
const CHANNELS_FIRST: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'BatchNormalization',
  'InstanceNormalization',
  'GroupNormalization',
  'MaxPool',
  'AveragePool',
  'GlobalAveragePool',
  'GlobalMaxPool',
]);
const CHANNELS_LAST: ReadonlySet<string> = new Set([
  'MatMul',
  'Gemm',
  'LayerNormalization',
  'Attention',
  'SkipLayerNormalization',
  'LSTM',
  'GRU',
  'RNN',
]);
const MOVES: ReadonlySet<string> = new Set(['Transpose', 'Reshape', 'Flatten', 'Squeeze', 'Unsqueeze']);

const sizeOf = (dim: Dim): number | null => (typeof dim === 'number' ? dim : null);

/** Sizes of the network's inputs for this batch: by name where the batch has it, else by position. */
function shapesFor(network: Network, batch: Batch): Map<string, readonly number[]> {
  const byPosition = [...batch.inputs.values()];
  return new Map(
    network.inputs.flatMap(({ name }, i): [string, readonly number[]][] => {
      const array = batch.inputs.get(name) ?? byPosition[i];
      return array ? [[name, array.shape]] : [];
    }),
  );
}
