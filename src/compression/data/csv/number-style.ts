/** How the cells of a column write numbers. */

/**
 * plain: 1234.5; decimal-comma: 1.234,5 or 1 234,5; thousands-comma: 1,234.5. A style is a property of a column: one
 * cell may not tell ("1,234").
 */
export type NumberStyle = 'plain' | 'decimal-comma' | 'thousands-comma';
export const NUMBER_STYLES = ['plain', 'decimal-comma', 'thousands-comma'] as const satisfies readonly NumberStyle[];

const DECIMAL_COMMA = /^[+-]?(?:\d{1,3}(?:[.\u00a0\u202f' ]\d{3})+|\d+)(?:,\d+)?(?:e[+-]?\d+)?$/i;
const THOUSANDS_COMMA = /^[+-]?(?:\d{1,3}(?:[,\u00a0\u202f' ]\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?$/i;

/** NaN where the cell is no finite number in this style. */
export function parseNumber(cell: string, style: NumberStyle): number {
  const value = Number(plainForm(cell, style) ?? NaN);
  return Number.isFinite(value) ? value : NaN;
}

/** null: not written in this style. */
function plainForm(cell: string, style: NumberStyle): string | null {
  if (style === 'plain') return cell;
  if (style === 'decimal-comma')
    return DECIMAL_COMMA.test(cell) ? cell.replace(/[.\u00a0\u202f' ]/g, '').replace(',', '.') : null;
  return THOUSANDS_COMMA.test(cell) ? cell.replace(/[,\u00a0\u202f' ]/g, '') : null;
}

/** A cell in every style; NaN where it is no number in it. */
export function readNumber(cell: string): Readonly<Record<NumberStyle, number>> {
  const plain = parseNumber(cell, 'plain');
  const isPlain = !Number.isNaN(plain);
  return {
    plain,
    'decimal-comma': isPlain && !cell.includes('.') ? plain : parseNumber(cell, 'decimal-comma'),
    'thousands-comma': isPlain ? plain : parseNumber(cell, 'thousands-comma'),
  };
}

/** The only style that a cell can be written in, where that is not `plain`; null: it does not tell. */
export function provenStyle(values: Readonly<Record<NumberStyle, number>>): NumberStyle | null {
  if (!Number.isNaN(values.plain)) return null;
  const possible = NUMBER_STYLES.filter((style) => !Number.isNaN(values[style]));
  return possible.length === 1 ? possible[0]! : null;
}

/** Whether a plain number would be another one with decimal commas: 1.234. */
export function isGrouped(cell: string): boolean {
  return /^[+-]?\d{1,3}(?:\.\d{3})+$/.test(cell);
}

const DATE = /^(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})(?:[T ]\d{1,2}:\d{2}.*)?$/;

export function isDate(cell: string): boolean {
  return DATE.test(cell);
}
