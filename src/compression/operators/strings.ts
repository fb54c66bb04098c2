/**
 * Operators on strings: on the host, exactly. (RegexFullMatch is not among them: JavaScript's regular expressions can
 * take exponential time.)
 */
import { GraphError } from '../ir/graph-error.ts';
import { hostOf } from '../ir/tensor-data.ts';
import { firstInput, ONNX_ORDER, type HostForm, needs } from './define.ts';
import { stringsOf } from './host/data.ts';
import { offsetsInto } from './host/elementwise.ts';
import { broadcastDims } from './host/offsets.ts';
import type { HostTensor } from '../ir/host-tensor.ts';
import type { NodeInfo } from '../ir/node-info.ts';
import type { Operator } from './operator.ts';
import { broadcastType, shapeOf } from './shapes.ts';

const common = { domain: '', layout: ONNX_ORDER, differentiability: firstInput() } as const;

function strings(dims: readonly number[], data: readonly string[]): HostTensor {
  return { dtype: 'string', dims, data };
}

const concatenate: HostForm = needs(2, ([a, b]) => {
  const dims = broadcastDims(a.dims, b.dims);
  const [x, y] = [stringsOf(a), stringsOf(b)];
  const [left, right] = [offsetsInto(a.dims, dims), offsetsInto(b.dims, dims)];
  const length = dims.reduce((n, size) => n * size, 1);
  return [
    strings(
      dims,
      Array.from({ length }, (_, i) => x[left ? left[i]! : i]! + y[right ? right[i]! : i]!),
    ),
  ];
});

/** The parts of each string, padded to the longest list with '', and how many there are. */
const split: HostForm = needs(1, ([x], info) => {
  const delimiter = info.string('delimiter', '');
  const maxSplits = info.attribute('maxsplit') ? info.int('maxsplit', -1) : -1;
  const parts = stringsOf(x).map((text) => splitText(text, delimiter, maxSplits < 0 ? Infinity : maxSplits));
  const width = Math.max(0, ...parts.map(({ length }) => length));
  const padded = parts.flatMap((list) => [...list, ...new Array<string>(width - list.length).fill('')]);
  return [
    strings([...x.dims, width], padded),
    hostOf(
      'int64',
      x.dims,
      parts.map(({ length }) => length),
    ),
  ];
});

/** At most `most` cuts; without a delimiter, at runs of white space other than those at the ends. */
function splitText(text: string, delimiter: string, maxSplits: number): string[] {
  if (delimiter === '') {
    const parts: string[] = [];
    let rest = text.trimStart();
    while (rest !== '' && parts.length < maxSplits) {
      const end = rest.search(/\s/);
      if (end < 0) break;
      parts.push(rest.slice(0, end));
      rest = rest.slice(end).trimStart();
    }
    return rest === '' ? parts : [...parts, maxSplits === Infinity || parts.length < maxSplits ? rest.trimEnd() : rest];
  }
  if (text === '') return [];
  const all = text.split(delimiter);
  return all.length - 1 <= maxSplits ? all : [...all.slice(0, maxSplits), all.slice(maxSplits).join(delimiter)];
}

const normalize: HostForm = needs(1, ([x], info) => {
  const stopWords = info.attribute('stopwords');
  const words = stopWords?.kind === 'strings' ? stopWords.value : [];
  const sensitive = info.int('is_case_sensitive', 0) === 1;
  const same = (text: string): string => (sensitive ? text : text.toLowerCase());
  const dropped = new Set(words.map(same));
  const kept = stringsOf(x)
    .filter((text) => !dropped.has(same(text)))
    .map(caseChange(info));
  const result = kept.length > 0 ? kept : [''];
  return [strings(x.dims.length === 2 ? [1, result.length] : [result.length], result)];
});

function caseChange(info: NodeInfo): (text: string) => string {
  const action = info.string('case_change_action', 'NONE');
  if (action === 'LOWER') return (text) => text.toLowerCase();
  if (action === 'UPPER') return (text) => text.toUpperCase();
  if (action !== 'NONE') throw new GraphError(`unknown case_change_action "${action}"`);
  return (text) => text;
}

export const stringOperators: readonly Operator[] = [
  { ...common, type: 'StringConcat', since: 20, infer: broadcastType(), host: concatenate },
  {
    ...common,
    type: 'StringSplit',
    since: 20,
    host: split,
    infer: (info) => {
      const shape = shapeOf(info);
      return [
        { dtype: 'string', shape: shape && [...shape, null] },
        { dtype: 'int64', shape },
      ];
    },
  },
  {
    ...common,
    type: 'StringNormalizer',
    since: 10,
    host: normalize,
    infer: (info) => [{ dtype: 'string', shape: shapeOf(info)?.length === 2 ? [1, null] : [null] }],
  },
];
