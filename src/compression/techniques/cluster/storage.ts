/**
 * How the file stores codes. Operators that onnxruntime evaluates once, when it loads the model, unpack them: one byte
 * each; planes of 4, 2 and 1 bits, separated by BitShift; or, for mostly zero weights, the nonzero codes with their
 * distances from the previous one (Han et al. 2016, figure 2).
 */
import { elementCount } from '../../ir/tensor-data.ts';
import type { Unpacking } from './unpacking.ts';

export interface CodeArray {
  readonly codes: Uint8Array;
  /** Of each code, 1 to 8. */
  readonly bits: number;
  readonly dims: readonly number[];
}

export interface Storage {
  /** Approximate size of data, nodes and constants. */
  readonly bytes: number;
  /** @returns the name of an int32 value [dims] */
  write(unpacking: Unpacking): string;
}

/** The first opset with the operators that unpack anything but whole bytes. */
export const UNPACKING_OPSET = 11;
/** Bytes that a node or a small constant takes in a file beside its data. */
const PIECE_BYTES = 45;

/** The smallest way to store the codes. @param sparse code 0 is zero, and may be left out if it is frequent */
export function storageOf(array: CodeArray, sparse: boolean, opset: number): Storage {
  if (opset < UNPACKING_OPSET) return byteStorage(array);
  const dense = denseStorage(array);
  if (!sparse || !array.codes.some((code) => code !== 0)) return dense;
  const runs = sparseStorage(array);
  return runs.bytes < dense.bytes ? runs : dense;
}

function denseStorage(array: CodeArray): Storage {
  const [bytes, planes] = [byteStorage(array), planeStorage(array)];
  return planes.bytes < bytes.bytes ? planes : bytes;
}

function byteStorage({ codes, dims }: CodeArray): Storage {
  return {
    bytes: codes.length + 2 * PIECE_BYTES,
    write: (unpacking) => unpacking.cast(unpacking.constant('uint8', dims, codes)),
  };
}

/**
 * The high bits of all codes, then the others, in planes whose widths divide a byte: no bit is wasted, and gzip
 * compresses the frequent values in the high plane. The codes are the sum of the planes.
 */
function planeStorage({ codes, bits, dims }: CodeArray): Storage {
  const widths = [8, 4, 2, 1].filter((width) => (bits & width) !== 0);
  const padded = Math.ceil(codes.length / 8) * 8;
  const rest = padded !== codes.length;
  return {
    bytes: (padded * bits) / 8 + (10 * widths.length - 2 + (rest ? 5 : 0)) * PIECE_BYTES,
    write: (unpacking) => {
      let low = bits;
      const planes = widths.map((width) =>
        unpacking.reshape(plane(codes, width, (low -= width), unpacking), rest ? [padded] : dims),
      );
      const sum = planes.reduce((high, next) => unpacking.node('Add', [high, next]));
      return rest ? unpacking.reshape(unpacking.slice(sum, codes.length), dims) : sum;
    },
  };
}

/**
 * `width` bits of every code from bit `low` on. Shifting a byte left drops the codes above, then right those below, for
 * all codes of all bytes at once.
 * @returns the name of an int32 value [bytes, codes in a byte]
 */
function plane(codes: Uint8Array, width: number, low: number, unpacking: Unpacking): string {
  const each = 8 / width;
  const bytes = packPlane(codes, width, low);
  const shift = (value: string, direction: 'LEFT' | 'RIGHT', by: readonly number[]): string =>
    unpacking.node('BitShift', [value, unpacking.constant('uint8', by.length > 1 ? [by.length] : [], by)], {
      direction,
    });
  const above = shift(
    unpacking.constant('uint8', [bytes.length, 1], bytes),
    'LEFT',
    Array.from({ length: each }, (_, i) => 8 - width * (i + 1)),
  );
  const alone = shift(above, 'RIGHT', [8 - width]);
  return unpacking.cast(low === 0 ? alone : shift(alone, 'LEFT', [low]));
}

/** Packs the first code into the lowest bits; the number of codes is a multiple of 8. */
function packPlane(codes: Uint8Array, width: number, low: number): Uint8Array {
  const each = 8 / width;
  const mask = 2 ** width - 1;
  const bytes = new Uint8Array((Math.ceil(codes.length / 8) * 8) / each);
  for (let i = 0; i < codes.length; i++)
    bytes[Math.floor(i / each)]! |= ((codes[i]! >> low) & mask) << (width * (i % each));
  return bytes;
}

/** Candidate widths of a distance in bits. Narrower ones need more entries: distant codes need zeros between them. */
const GAP_BITS = [4, 5, 6, 7, 8] as const;

function sparseStorage(array: CodeArray): Storage {
  return GAP_BITS.map((bits) => runLengthStorage(array, bits)).reduce((least, next) =>
    next.bytes < least.bytes ? next : least,
  );
}

function runLengthStorage({ codes, bits, dims }: CodeArray, gapBits: number): Storage {
  const { gaps, kept } = distances(codes, 2 ** gapBits - 1);
  const [distance, code] = [
    denseStorage({ codes: gaps, bits: gapBits, dims: [gaps.length] }),
    denseStorage({ codes: kept, bits, dims: [kept.length] }),
  ];
  return {
    bytes: distance.bytes + code.bytes + 8 * PIECE_BYTES,
    write: (unpacking) => {
      const positions = unpacking.node('CumSum', [distance.write(unpacking), unpacking.constant('int64', [], [0])]);
      const size = unpacking.constant('int64', [1], [elementCount(dims)]);
      const zeros = unpacking.node('ConstantOfShape', [size], {
        value: { kind: 'tensor', value: { name: '', dtype: 'int32', dims: [1], bytes: new Uint8Array(4) } },
      });
      return unpacking.reshape(unpacking.node('ScatterElements', [zeros, positions, code.write(unpacking)]), dims);
    },
  };
}

/**
 * For the nonzero codes: the distance from the previous one (the first: from the start). Keeps zeros in between where a
 * distance exceeds `most`.
 */
function distances(codes: Uint8Array, maxGap: number): { gaps: Uint8Array; kept: Uint8Array } {
  const [gaps, kept]: [number[], number[]] = [[], []];
  let last = 0;
  codes.forEach((code, i) => {
    if (code === 0) return;
    for (; i - last > maxGap; last += maxGap) {
      gaps.push(maxGap);
      kept.push(0);
    }
    gaps.push(i - last);
    kept.push(code);
    last = i;
  });
  return { gaps: Uint8Array.from(gaps), kept: Uint8Array.from(kept) };
}
