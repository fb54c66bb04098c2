/**
 * Prints what the form of the code can be measured by, for each room and in total: length of functions in lines (median
 * and 99th percentile), share of lines over 120 columns, `!` and `as` (but `as const`) per 1,000 lines. Tests and
 * generated code are left out. A function inside another counts for itself and as part of the other.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { sourcesOf } from './lib/imports.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const MAX_COLUMNS = 120;

/** Folders of src/compression/, of src/ and beside it; files right under src/ are one room. */
const roomOf = (path) =>
  /^src\/compression\/([^/]+)\//.exec(path)?.[1] ?? /^src\/([^/]+)\//.exec(path)?.[1] ?? path.split('/')[0];

/** @returns {{lengths: number[], lines: number, wide: number, nonNull: number, assertions: number}} */
export function measureSource(text) {
  const file = ts.createSourceFile('source.ts', text, ts.ScriptTarget.Latest, true);
  const lines = text.trimEnd().split('\n');
  const found = {
    lengths: /** @type {number[]} */ ([]),
    lines: lines.length,
    wide: lines.filter((line) => line.length > MAX_COLUMNS).length,
    nonNull: 0,
    assertions: 0,
  };
  const lineOf = (position) => file.getLineAndCharacterOfPosition(position).line;
  const visit = (node) => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body)
      found.lengths.push(lineOf(node.getEnd()) - lineOf(node.getStart(file)) + 1);
    else if (ts.isNonNullExpression(node)) found.nonNull++;
    else if (ts.isAsExpression(node) && !ts.isConstTypeReference(node.type)) found.assertions++;
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

function sum(measured) {
  const total = (name) => measured.reduce((all, one) => all + one[name], 0);
  const lines = total('lines');
  const lengths = measured.flatMap((one) => one.lengths).sort((a, b) => a - b);
  const quantile = (share) => lengths[Math.ceil(share * lengths.length) - 1] ?? 0;
  return {
    lines,
    functions: lengths.length,
    median: quantile(0.5),
    p99: quantile(0.99),
    'over 120 columns, %': round((100 * total('wide')) / lines),
    '! per 1,000': round((1000 * total('nonNull')) / lines),
    'as per 1,000': round((1000 * total('assertions')) / lines),
  };
}

const round = (value) => Number(value.toFixed(2));

function main() {
  const rooms = new Map();
  for (const path of ['src', 'workers', 'clients'].flatMap((folder) => sourcesOf(root, folder))) {
    const measured = rooms.get(roomOf(path)) ?? [];
    rooms.set(roomOf(path), [...measured, measureSource(readFileSync(join(root, path), 'utf8'))]);
  }
  const rows = [...rooms].map(([room, measured]) => [room, sum(measured)]);
  console.table(Object.fromEntries([...rows, ['total', sum([...rooms.values()].flat())]]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
