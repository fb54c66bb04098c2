/** TfIdfVectorizer: counts of n-grams, with gaps where asked. */
import { GraphError } from '../ir/graph-error.ts';
import { hostNumbers } from '../ir/tensor-data.ts';
import { onHost, ONNX_ORDER, ZERO, type HostForm, needs } from './define.ts';
import { generate } from './host/data.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator } from './operator.ts';
import { shapeOf } from './shapes.ts';

interface Vocabulary {
  /** Key of an n-gram -> its number, by position in the pool. */
  readonly numbers: ReadonlyMap<string, number>;
  readonly indexes: readonly number[];
  readonly weights: readonly number[];
  readonly width: number;
}

const keyOf = (items: readonly string[]): string => JSON.stringify(items);

function stringsAttribute(info: NodeInfo, name: string): readonly string[] | undefined {
  const attribute = info.attribute(name);
  return attribute?.kind === 'strings' ? attribute.value : undefined;
}

function vocabularyOf(info: NodeInfo): Vocabulary {
  const pool = stringsAttribute(info, 'pool_strings') ?? info.ints('pool_int64s')?.map(String) ?? [];
  const counts = info.ints('ngram_counts') ?? [];
  const indexes = info.ints('ngram_indexes') ?? [];
  const numbers = new Map<string, number>();
  let number = 0;
  counts.forEach((start, i) => {
    for (let at = start; at + i < (counts[i + 1] ?? pool.length); at += i + 1)
      numbers.set(keyOf(pool.slice(at, at + i + 1)), number++);
  });
  if (numbers.size > indexes.length) throw new GraphError(`${numbers.size} n-grams have ${indexes.length} indexes`);
  return { numbers, indexes, weights: info.floats('weights') ?? [], width: Math.max(-1, ...indexes) + 1 };
}

/** Calls `found` with the number of each n-gram of a row. Single items have no gaps, and are counted once. */
function visit(row: readonly string[], info: NodeInfo, vocabulary: Vocabulary, found: (number: number) => void): void {
  const [minLength, maxLength, gaps] = [
    info.int('min_gram_length', 1),
    info.int('max_gram_length', 1),
    info.int('max_skip_count', 0),
  ];
  for (let gap = 0; gap <= gaps; gap++)
    for (let n = Math.max(minLength, gap > 0 ? 2 : 1); n <= maxLength; n++) {
      for (let start = 0; start + (n - 1) * (gap + 1) < row.length; start++) {
        const number = vocabulary.numbers.get(keyOf(Array.from({ length: n }, (_, i) => row[start + i * (gap + 1)]!)));
        if (number !== undefined) found(number);
      }
    }
}

const itemsOf = (x: HostTensor): string[] =>
  x.dtype === 'string' ? [...(x.data as readonly string[])] : hostNumbers(x).map(String);

const tfIdf: HostForm = needs(1, ([x], info) => {
  const vocabulary = vocabularyOf(info);
  const { width, indexes, weights } = vocabulary;
  const [rows, length] = x.dims.length === 2 ? (x.dims as [number, number]) : [1, x.data.length];
  const items = itemsOf(x);
  const counts = new Float64Array(rows * width);
  const weightOf = new Float64Array(width).fill(1);
  weights.forEach((weight, number) => {
    weightOf[indexes[number]!] = weight;
  });
  for (let row = 0; row < rows; row++)
    visit(items.slice(row * length, (row + 1) * length), info, vocabulary, (number) => {
      counts[row * width + indexes[number]!]!++;
    });
  const mode = info.string('mode', 'TF');
  const value = (i: number): number =>
    mode === 'TF'
      ? counts[i]!
      : mode === 'IDF'
        ? counts[i]! > 0
          ? weightOf[i % width]!
          : 0
        : counts[i]! * weightOf[i % width]!;
  return [generate('float32', x.dims.length === 2 ? [rows, width] : [width], value)];
});

export const tfIdfOperators: readonly Operator[] = [
  {
    type: 'TfIdfVectorizer',
    domain: '',
    since: 9,
    layout: ONNX_ORDER,
    differentiability: ZERO,
    host: tfIdf,
    device: onHost(tfIdf),
    infer: (info) => {
      const shape = shapeOf(info);
      const { width } = vocabularyOf(info);
      return [{ dtype: 'float32', shape: shape && (shape.length === 2 ? [shape[0]!, width] : [width]) }];
    },
  },
];
