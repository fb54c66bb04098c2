/**
 * Tucker-2 of a convolution's channels (Kim et al. 2016, arXiv 1511.06530): W [o, i, ...] = core x outputs x inputs
 * becomes 1x1, a kernel of the old size between fewer channels, 1x1. Bases by the singular vectors of the unfoldings,
 * then a few rounds of orthogonal iteration (HOOI, De Lathauwer et al. 2000), which never increase the error.
 */
import { readFromEngine, svd } from '../../tensor/svd.ts';
import { tf, type TfTensor } from '../../tensor/tf.ts';
import { chain, kernel, pointSettings, product, settings, type Convolution, type Link } from './convolution-chain.ts';
import {
  minRank,
  lostEnergy,
  type Factorization,
  type LayerCost,
  type Replacement,
  type Target,
} from './factorization.ts';
import { elementAt } from '../../ir/checked-access.ts';

interface Ranks {
  readonly outputs: number;
  readonly inputs: number;
}

const ROUNDS = 3;

export function tuckerFactorization(convolution: Convolution, target: Target): Factorization | null {
  const { outputs, inputs, size, values } = convolution;
  const lost = readFromEngine(() => {
    const weight = tf.tensor3d(Float32Array.from(values), [outputs, inputs, product(size)]);
    return { outputs: lostEnergy(spectrum(weight, 0)), inputs: lostEnergy(spectrum(weight, 1)) };
  });
  const candidates = pairsOfRanks(convolution, lost, target).map((ranks) => ({
    ranks,
    ...costOf(convolution, ranks),
    error: Math.min(1, elementAt(lost.outputs, ranks.outputs, 'rank') + elementAt(lost.inputs, ranks.inputs, 'rank')),
  }));
  const [best] = candidates.sort(target.energy !== undefined ? (a, b) => a.macs - b.macs : (a, b) => a.error - b.error);
  return best
    ? {
        parameters: best.parameters,
        macs: best.macs,
        error: best.error,
        replacement: (fresh) => threeConvolutions(convolution, best.ranks, fresh),
      }
    : null;
}

function spectrum(weight: TfTensor, axis: 0 | 1): Float32Array {
  return svd(unfolded(weight, axis)).values.dataSync() as Float32Array;
}

/** [o, i, k] -> [o, i k] or [i, o k] */
function unfolded(weight: TfTensor, axis: 0 | 1): TfTensor {
  const first = axis === 0 ? weight : tf.transpose(weight, [1, 0, 2]);
  return tf.reshape(first, [elementAt(first.shape, 0, 'axis'), -1]);
}

/** An unfolding has as many singular values as its shorter side is long: higher ranks lose nothing. */
function pairsOfRanks(
  convolution: Convolution,
  lost: Record<keyof Ranks, Float64Array>,
  { energy, rank, ratio }: Target,
): Ranks[] {
  const max = { outputs: lost.outputs.length - 1, inputs: lost.inputs.length - 1 };
  if (rank !== undefined) return [{ outputs: Math.min(rank, max.outputs), inputs: Math.min(rank, max.inputs) }];
  const pairs = Array.from({ length: max.outputs }, (_, i) => i + 1).map((outputs): Ranks | null => {
    if (energy !== undefined) {
      const left = 1 - energy - elementAt(lost.outputs, outputs, 'rank');
      return left < -1e-12 ? null : { outputs, inputs: minRank(lost.inputs, left) };
    }
    const inputs = Math.min(
      max.inputs,
      largestWithin(convolution, outputs, (ratio ?? 1) * convolution.layer.parameters),
    );
    return inputs < 1 ? null : { outputs, inputs };
  });
  return pairs.filter((pair) => pair !== null);
}

/** The most input channels of the core with which all three kernels together stay within this many weights. */
function largestWithin({ inputs, outputs, size }: Convolution, rank: number, parameters: number): number {
  return Math.floor((parameters - outputs * rank) / (inputs + rank * product(size)));
}

/** Omits a factor of full rank: the core absorbs it. */
function costOf({ outputs, inputs, size, strides }: Convolution, ranks: Ranks): LayerCost {
  const before = ranks.inputs < inputs ? inputs * ranks.inputs : 0;
  const core = product(size) * ranks.inputs * ranks.outputs;
  const after = ranks.outputs < outputs ? ranks.outputs * outputs : 0;
  return { parameters: before + core + after, macs: before * product(strides) + core + after };
}

function threeConvolutions(convolution: Convolution, ranks: Ranks, fresh: (base: string) => string): Replacement {
  const { node, weight, outputs, inputs, size } = convolution;
  const { core, left, right } = decompose(convolution, ranks);
  const points = size.map(() => 1);
  const links: Link[] = [
    {
      kernel: kernel(weight, fresh(`${weight.name}_core`), [ranks.outputs, ranks.inputs, ...size], core),
      attributes: settings(node, size),
    },
  ];
  if (right)
    links.unshift({
      kernel: kernel(weight, fresh(`${weight.name}_inputs`), [ranks.inputs, inputs, ...points], right),
      attributes: pointSettings(size),
    });
  if (left)
    links.push({
      kernel: kernel(weight, fresh(`${weight.name}_outputs`), [outputs, ranks.outputs, ...points], left),
      attributes: pointSettings(size),
    });
  return chain(node, links, fresh);
}

interface Decomposed {
  /** [outputs, inputs, size] of the ranks. */
  readonly core: Float32Array;
  /** [outputs, rank]; null if of full rank. */
  readonly left: Float32Array | null;
  /** [rank, inputs]; null if of full rank. */
  readonly right: Float32Array | null;
}

function decompose({ values, outputs, inputs, size }: Convolution, ranks: Ranks): Decomposed {
  return readFromEngine(() => {
    const weight = tf.tensor3d(Float32Array.from(values), [outputs, inputs, product(size)]);
    const basis = (of: TfTensor, axis: 0 | 1, rank: number): TfTensor => {
      const { left } = svd(unfolded(of, axis));
      const [size, count] = left.shape as [number, number];
      return tf.slice(left, [0, 0], [size, Math.min(rank, count)]);
    };
    let left = ranks.outputs < outputs ? basis(weight, 0, ranks.outputs) : null;
    let right = ranks.inputs < inputs ? basis(weight, 1, ranks.inputs) : null;
    for (let round = 0; round < ROUNDS && left && right; round++) {
      left = basis(projected(weight, right, 1), 0, ranks.outputs);
      right = basis(projected(weight, left, 0), 1, ranks.inputs);
    }
    const core = projected(projected(weight, left, 0), right, 1);
    const read = (tensor: TfTensor): Float32Array => tensor.dataSync() as Float32Array;
    return { core: read(core), left: left && read(left), right: right && read(tf.transpose(right)) };
  });
}

/** Projects the axis onto a basis [size, rank]; null leaves it as it is. */
function projected(weight: TfTensor, basis: TfTensor | null, axis: 0 | 1): TfTensor {
  if (!basis) return weight;
  const [outputs, inputs, positions] = weight.shape as [number, number, number];
  const made = tf.matMul(basis, unfolded(weight, axis), true, false);
  const rank = elementAt(basis.shape, 1, 'axis');
  return axis === 0
    ? tf.reshape(made, [rank, inputs, positions])
    : tf.transpose(tf.reshape(made, [rank, outputs, positions]), [1, 0, 2]);
}
