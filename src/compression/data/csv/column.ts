/** What a pass over a table learns about its columns, and how their cells become numbers. */
import type { LatheError } from '../../../errors.ts';
import { malformedCsv } from './malformed.ts';
import { isDate, isGrouped, NUMBER_STYLES, provenStyle, readNumber, type NumberStyle } from './number-style.ts';

export const MAX_CATEGORIES = 1000;

interface Cell {
  readonly text: string;
  readonly line: number;
}

/** A column's cells read in one style. */
interface Reading {
  numbers: number;
  whole: boolean;
  min: number;
  max: number;
  /** The first cell that is no number in this style. */
  firstOther: Cell | null;
}

/** The numbers of a column. */
export interface Numeric extends Pick<Reading, 'whole' | 'min' | 'max'> {
  readonly style: NumberStyle;
}

export class Column {
  readonly name: string;
  /** Distinct cells; null: more than MAX_CATEGORIES, so usable as numbers only. */
  categories: Set<string> | null = new Set();
  /** Styles that some cell of the column proves. */
  readonly proven = new Set<NumberStyle>();
  #rows = 0;
  #dates = 0;
  /** Cells with a dot, and those of them that are other numbers with decimal commas. */
  #dotted = 0;
  #grouped = 0;
  #firstGrouped: Cell | null = null;
  readonly #readings: Readonly<Record<NumberStyle, Reading>>;

  constructor(name: string) {
    this.name = name;
    const reading = (): Reading => ({ numbers: 0, whole: true, min: Infinity, max: -Infinity, firstOther: null });
    this.#readings = { plain: reading(), 'decimal-comma': reading(), 'thousands-comma': reading() };
  }

  observe(text: string, line: number): void {
    this.#rows++;
    this.categories?.add(text);
    if (this.categories && this.categories.size > MAX_CATEGORIES) this.categories = null;
    const values = readNumber(text);
    for (const style of NUMBER_STYLES) observeIn(this.#readings[style], values[style], { text, line });
    const proven = provenStyle(values);
    if (proven) this.proven.add(proven);
    if (Number.isNaN(values.plain)) this.#dates += Number(isDate(text));
    if (!text.includes('.')) return;
    this.#dotted++;
    if (!isGrouped(text)) return;
    this.#grouped++;
    this.#firstGrouped ??= { text, line };
  }

  /**
   * Its numbers; null: it holds texts.
   *
   * @param table the style that other columns prove, null if none does
   * @throws LatheError `malformed-dataset` naming the cell where it is open whether, or which, numbers are meant
   */
  numeric(table: NumberStyle | null): Numeric | null {
    const fits = (style: NumberStyle) => this.#readings[style].numbers === this.#rows;
    if (fits('plain')) {
      if (table === 'decimal-comma' && this.#firstGrouped && this.#grouped === this.#dotted)
        throw this.#ambiguous(this.#firstGrouped, '.');
      return { style: 'plain', ...this.#readings.plain };
    }
    const [style, other] = NUMBER_STYLES.filter(fits);
    if (!style) return this.#texts();
    if (!other) return { style, ...this.#readings[style] };
    if (table === null) throw this.#ambiguous(this.#readings.plain.firstOther, ',');
    return { style: table, ...this.#readings[table] };
  }

  /** @throws LatheError `malformed-dataset` where most cells are numbers, or all are dates: no categories are meant */
  #texts(): null {
    if (this.#dates === this.#rows)
      throw malformedCsv(
        `column "${this.name}"`,
        'holds dates; write them as numbers (days or seconds since a start, month, weekday), or leave the column out',
      );
    const best = NUMBER_STYLES.map((style) => this.#readings[style]).reduce((a, b) => (b.numbers > a.numbers ? b : a));
    if (best.numbers * 2 <= this.#rows || !best.firstOther) return null;
    const { text, line } = best.firstOther;
    throw malformedCsv(
      `line ${line}`,
      `column "${this.name}" holds numbers in ${best.numbers} of ${this.#rows} rows, and "${text}" is none; ` +
        'correct it, or write all of its cells as texts if categories are meant',
    );
  }

  #ambiguous(cell: Cell | null, separator: string): LatheError {
    return malformedCsv(
      `line ${cell?.line}`,
      `column "${this.name}": "${cell?.text}" may have a decimal or a thousands separator; ` +
        `write the column without "${separator}" between thousands, and decimals with a point`,
    );
  }
}

function observeIn(reading: Reading, value: number, cell: Cell): void {
  if (Number.isNaN(value)) {
    reading.firstOther ??= cell;
    return;
  }
  reading.numbers++;
  if (!Number.isInteger(value)) reading.whole = false;
  reading.min = Math.min(reading.min, value);
  reading.max = Math.max(reading.max, value);
}

/** The style besides `plain` that the table's columns prove; null: none, or they differ. */
export function styleOfTable(columns: readonly Column[]): NumberStyle | null {
  const proven = new Set(columns.flatMap((column) => [...column.proven]));
  return proven.size === 1 ? [...proven][0]! : null;
}
