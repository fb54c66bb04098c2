/**
 * How codes lie in the file, by operators that onnxruntime computes once when it loads the model: a byte each; as many as fit in a word, parted by
 * BitShift; or, of weights that are mostly zero, the codes of the others with the distance of each from the one before (Han et al. 2016, figure 2).
 */
import { elementCount } from '../../graph/tensor-data.ts';
import type { Unpacking } from './unpacking.ts';

export interface CodeArray {
  readonly codes: Uint8Array;
  /** Of each code. */
  readonly bits: number;
  readonly dims: readonly number[];
  /** Code 0 is zero: where it is frequent, it may be left out. */
  readonly sparse: boolean;
}

export interface Storage {
  /** Of data, nodes and constants, about. */
  readonly bytes: number;
  /** @returns the name of an int32 value [dims] */
  write(unpacking: Unpacking): string;
}

export interface StorageOptions {
  /** Codes of fewer than 8 bits share bytes. */
  readonly packed: boolean;
  /** Opset of the model: from 11 on there are the operators that unpack more than bytes. */
  readonly opset: number;
}

const UNPACKING_OPSET = 11;
/** What a node, or a small constant, takes in a file beside its data. */
const PIECE_BYTES = 45;

/** The smallest way to store the codes. */
export function storageOf(array: CodeArray, { packed, opset }: StorageOptions): Storage {
  const dense = denseStorage(array, packed && opset >= UNPACKING_OPSET);
  if (!array.sparse || opset < UNPACKING_OPSET || !array.codes.some((code) => code !== 0)) return dense;
  const runs = sparseStorage(array, packed);
  return runs.bytes < dense.bytes ? runs : dense;
}

type DenseArray = Pick<CodeArray, 'codes' | 'bits' | 'dims'>;

function denseStorage(array: DenseArray, packed: boolean): Storage {
  const bytes = byteStorage(array);
  if (!packed || array.bits === 8) return bytes;
  const words = wordStorage(array);
  return words.bytes < bytes.bytes ? words : bytes;
}

function byteStorage({ codes, dims }: DenseArray): Storage {
  return { bytes: codes.length + 2 * PIECE_BYTES, write: (unpacking) => unpacking.cast(unpacking.constant('uint8', dims, codes)) };
}

/**
 * 1, 2 and 4 bits in bytes; others in 32 bits, as many as fit: 10 codes of 3 bits, 6 of 5, 5 of 6, 4 of 7. A word is shifted left as far as the code
 * has others above it, then right as far as it has others below it, all codes of all words at once.
 */
function wordStorage({ codes, bits, dims }: DenseArray): Storage {
  const width = 8 % bits === 0 ? 8 : 32;
  const each = Math.floor(width / bits);
  const count = Math.ceil(codes.length / each);
  const rest = count * each !== codes.length;
  return {
    bytes: (count * width) / 8 + (8 + (rest ? 4 : 0)) * PIECE_BYTES,
    write: (unpacking) => {
      const type = width === 8 ? 'uint8' : 'uint32';
      const words = unpacking.constant(type, [count, 1], packWords(codes, bits, each, count));
      const left = unpacking.constant(type, [each], Array.from({ length: each }, (_, i) => width - bits * (i + 1)));
      const alone = unpacking.node('BitShift', [unpacking.node('BitShift', [words, left], { direction: 'LEFT' }), unpacking.constant(type, [], [width - bits])], { direction: 'RIGHT' });
      const numbers = unpacking.cast(alone);
      return unpacking.reshape(rest ? unpacking.slice(unpacking.reshape(numbers, [-1]), codes.length) : numbers, dims);
    },
  };
}

/** First code in the lowest bits. */
function packWords(codes: Uint8Array, bits: number, each: number, count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let i = 0; i < codes.length; i++) words[Math.floor(i / each)]! |= codes[i]! << (bits * (i % each));
  return words;
}

/** Distances are bytes, also where fewer bits would do: gzip finds the frequent ones, and in all a byte is as good. */
function sparseStorage({ codes, bits, dims }: DenseArray, packed: boolean): Storage {
  const { gaps, kept } = distances(codes);
  const inner = denseStorage({ codes: kept, bits, dims: [kept.length] }, packed);
  return {
    bytes: gaps.length + inner.bytes + 10 * PIECE_BYTES,
    write: (unpacking) => {
      const positions = unpacking.node('CumSum', [unpacking.cast(unpacking.constant('uint8', [gaps.length], gaps)), unpacking.constant('int64', [], [0])]);
      const size = unpacking.constant('int64', [1], [elementCount(dims)]);
      const zeros = unpacking.node('ConstantOfShape', [size], { value: { kind: 'tensor', value: { name: '', dtype: 'int32', dims: [1], bytes: new Uint8Array(4) } } });
      return unpacking.reshape(unpacking.node('ScatterElements', [zeros, positions, inner.write(unpacking)]), dims);
    },
  };
}

const MOST_GAP = 255;

/** Of the codes that are not 0: how far each lies behind the one before (the first: behind the start). Where that is more than a byte, zeros between are kept. */
function distances(codes: Uint8Array): { gaps: Uint8Array; kept: Uint8Array } {
  const [gaps, kept]: [number[], number[]] = [[], []];
  let last = 0;
  codes.forEach((code, i) => {
    if (code === 0) return;
    for (; i - last > MOST_GAP; last += MOST_GAP) {
      gaps.push(MOST_GAP);
      kept.push(0);
    }
    gaps.push(i - last);
    kept.push(code);
    last = i;
  });
  return { gaps: Uint8Array.from(gaps), kept: Uint8Array.from(kept) };
}
