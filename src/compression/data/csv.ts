/**
 * Tables with a header line. Columns of numbers become features unchanged; other columns are one-hot coded over their
 * sorted values; numbers may have decimal commas or thousands separators (csv/number-style.ts). The target column (`?target=`): names become classes in sorted order; whole numbers from 0 to 999 are
 * class indices; other numbers are values. `?targetKind=classes|values` overrides that guess. Separator: comma,
 * semicolon or tab.
 */
import { pipeline } from 'node:stream';
import { parse } from 'csv-parse';
import { LatheError } from '../../errors.ts';
import { arrayDataset } from './array-dataset.ts';
import { arrayFrom, createArray, type StoredArray } from './array-store.ts';
import { Column, MAX_CATEGORIES, styleOfTable, type Numeric } from './csv/column.ts';
import { malformedCsv } from './csv/malformed.ts';
import { parseNumber, type NumberStyle } from './csv/number-style.ts';
import { readText } from './csv/text.ts';
import type { Dataset } from './dataset.ts';

const MAX_COLUMNS = 100_000;
const MAX_CLASS_INDEX = 1000;
const ROWS_PER_CHUNK = 1024;
const MISSING = new Set(['', 'na', 'n/a', 'nan', 'null', '?']);

async function delimiterOf(path: string): Promise<string> {
  let header = '';
  for await (const piece of readText(path)) {
    header += piece;
    if (header.includes('\n') || header.length >= 65536) break;
  }
  header = header.replace(/\r?\n.*$/s, '');
  const count = (separator: string) => header.split(separator).length;
  return [',', ';', '\t'].reduce((best, separator) => (count(separator) > count(best) ? separator : best));
}

interface Row {
  readonly cells: string[];
  readonly line: number;
}

async function* readRows(path: string, delimiter: string): AsyncGenerator<Row> {
  const parser = pipeline(
    readText(path),
    parse({ bom: true, delimiter, info: true, skip_empty_lines: true, trim: true, max_record_size: 16 * 2 ** 20 }),
    () => undefined, // the parser's own iteration throws it
  );
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>)
      yield { cells: record, line: info.lines };
  } catch (error) {
    throw error instanceof LatheError ? error : malformedCsv('csv', (error as Error).message);
  }
}

async function* readBody(path: string, delimiter: string): AsyncGenerator<Row> {
  let header = true;
  for await (const row of readRows(path, delimiter)) {
    if (!header) yield row;
    header = false;
  }
}

async function readHeader(path: string, delimiter: string): Promise<string[]> {
  for await (const { cells } of readRows(path, delimiter)) {
    const repeated = cells.find((name, i) => cells.indexOf(name) !== i);
    if (repeated !== undefined) throw malformedCsv('line 1', `column "${repeated}" appears twice`);
    if (cells.every((cell) => cell !== '' && Number.isFinite(Number(cell))))
      throw malformedCsv('line 1', 'holds numbers only; a header line with column names is needed');
    if (cells.length > MAX_COLUMNS)
      throw malformedCsv('line 1', `${cells.length} columns; the limit is ${MAX_COLUMNS}`);
    return cells;
  }
  throw malformedCsv('csv', 'the file is empty');
}

async function inferColumns(path: string, delimiter: string): Promise<{ columns: Column[]; rows: number }> {
  const columns = (await readHeader(path, delimiter)).map((name) => new Column(name));
  let rows = 0;
  for await (const { cells, line } of readBody(path, delimiter)) {
    columns.forEach((column, i) => {
      const cell = cells[i] ?? '';
      if (MISSING.has(cell.toLowerCase()))
        throw malformedCsv(`line ${line}`, `column "${column.name}" has no value ("${cell}"); fill or drop such rows`);
      column.observe(cell, line);
    });
    rows++;
  }
  if (rows === 0) throw malformedCsv('csv', 'there are no rows below the header');
  return { columns, rows };
}

/** How a column's cell becomes numbers. */
interface Encoding {
  readonly width: number;
  encode(cell: string, into: Float32Array, at: number): void;
}

function featureEncoding(column: Column, table: NumberStyle | null): Encoding {
  const numeric = column.numeric(table);
  if (numeric)
    return {
      width: 1,
      encode: (cell, into, at) => {
        into[at] = parseNumber(cell, numeric.style);
      },
    };
  if (!column.categories)
    throw malformedCsv(
      `column "${column.name}"`,
      `holds more than ${MAX_CATEGORIES} different texts, too many to code as categories`,
    );
  const index = new Map([...column.categories].sort().map((name, i) => [name, i]));
  return {
    width: index.size,
    encode: (cell, into, at) => {
      into[at + placeIn(index, cell)] = 1;
    },
  };
}

/** The class of a cell; the first pass has seen every cell. */
function placeIn(index: ReadonlyMap<string, number>, cell: string): number {
  const place = index.get(cell);
  if (place === undefined) throw malformedCsv('csv', `"${cell}" was not in the file when it was first read`);
  return place;
}

interface TargetEncoding {
  readonly classes: readonly string[] | null;
  readonly dtype: 'int32' | 'float32';
  encode(cell: string): number;
}

function targetEncoding(column: Column, kind: string | undefined, table: NumberStyle | null): TargetEncoding {
  const numeric = kind === 'classes' ? numbersIfClear(column, table) : column.numeric(table);
  const indexed = numeric !== null && numeric.whole && numeric.min >= 0 && numeric.max < MAX_CLASS_INDEX;
  const encode = (cell: string) => parseNumber(cell, numeric?.style ?? 'plain');
  if (numeric && (kind === 'values' || (kind !== 'classes' && !indexed)))
    return { classes: null, dtype: 'float32', encode };
  if (indexed) return { classes: null, dtype: 'int32', encode };
  if (kind === 'values') throw malformedCsv(`column "${column.name}"`, 'holds texts, so it cannot be values');
  if (!column.categories)
    throw malformedCsv(
      `column "${column.name}"`,
      `holds more than ${MAX_CATEGORIES} different texts, too many for classes`,
    );
  const classes = [...column.categories].sort(numeric ? (a, b) => encode(a) - encode(b) : undefined);
  const index = new Map(classes.map((name, i) => [name, i]));
  return { classes, dtype: 'int32', encode: (cell) => placeIn(index, cell) };
}

/** Of a target that is said to be classes: where it is open which numbers are meant, the cells are names. */
function numbersIfClear(column: Column, table: NumberStyle | null): Numeric | null {
  try {
    return column.numeric(table);
  } catch {
    return null;
  }
}

/** `options.target`: the target column; absent: unlabelled. */
export async function openCsv(path: string, options: Readonly<Record<string, string>>): Promise<Dataset> {
  const delimiter = await delimiterOf(path);
  const { columns, rows } = await inferColumns(path, delimiter);
  const targetAt = options.target === undefined ? -1 : columns.findIndex((column) => column.name === options.target);
  if (options.target !== undefined && targetAt < 0) {
    const names = columns
      .slice(0, 20)
      .map((column) => column.name)
      .join(', ');
    throw new LatheError('invalid-request', `the table has no column "${options.target}"`, [
      { path: 'target', message: `columns are: ${names}${columns.length > 20 ? ', ...' : ''}` },
    ]);
  }
  const targetColumn = columns[targetAt];
  const style = styleOfTable(columns);
  const target = targetColumn ? targetEncoding(targetColumn, options.targetKind, style) : null;
  const features = columns.flatMap((column, at) =>
    at === targetAt ? [] : [{ at, encoding: featureEncoding(column, style) }],
  );
  const { x, y } = await encodeRows(path, delimiter, {
    rows,
    features,
    target: target && { at: targetAt, encoding: target },
  });
  const naming = { name: options.target ?? 'target', ...(target?.classes ? { classes: target.classes } : {}) };
  return arrayDataset('csv', new Map([['train', { inputs: new Map([['x', x]]), target: y }]]), naming);
}

interface RowEncoding {
  readonly rows: number;
  readonly features: readonly { at: number; encoding: Encoding }[];
  readonly target: { at: number; encoding: TargetEncoding } | null;
}

async function encodeRows(
  path: string,
  delimiter: string,
  { rows, features, target }: RowEncoding,
): Promise<{ x: StoredArray; y: StoredArray | null }> {
  const width = features.reduce((sum, { encoding }) => sum + encoding.width, 0);
  if (width === 0) throw malformedCsv('csv', 'there is no column beside the target');
  const writer = createArray('x', 'float32', [rows, width]);
  const labels = target ? (target.encoding.dtype === 'int32' ? new Int32Array(rows) : new Float32Array(rows)) : null;
  let block = new Float32Array(ROWS_PER_CHUNK * width);
  let filled = 0;
  let row = 0;
  for await (const { cells } of readBody(path, delimiter)) {
    let at = filled * width;
    for (const feature of features) {
      feature.encoding.encode(cells[feature.at] ?? '', block, at);
      at += feature.encoding.width;
    }
    if (target && labels) labels[row] = target.encoding.encode(cells[target.at] ?? '');
    row++;
    if (++filled < ROWS_PER_CHUNK) continue;
    writer.write(block);
    block = new Float32Array(ROWS_PER_CHUNK * width);
    filled = 0;
  }
  writer.write(block.subarray(0, filled * width));
  return { x: writer.finish(), y: target && labels && arrayFrom(target.encoding.dtype, [rows], labels) };
}
