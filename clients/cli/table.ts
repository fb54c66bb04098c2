/** Plain-text tables and units for the terminal. */
import type { Measures, Report } from '../../src/contracts/report.ts';

/** Columns padded to their widest cell; the first is left-aligned, the others right-aligned. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ['KiB', 'MiB', 'GiB'];
  let value = count / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(value < 100 ? 1 : 0)} ${units[unit]}`;
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
const count = (value: number): string => value.toLocaleString('en-US');

/** The before/after table of a report: a line per measure, with the ratio where one makes sense. */
export function reportTable({ before, after }: Report): string {
  const rows: string[][] = [['', 'before', 'after', 'after/before']];
  const add = (
    label: string,
    of: (measures: Measures) => number | null | undefined,
    show: (value: number) => string,
    ratio = true,
  ): void => {
    const [from, to] = [of(before), of(after)];
    if (from == null || to == null) return;
    rows.push([label, show(from), show(to), ratio && from !== 0 ? percent(to / from) : '']);
  };
  add('file', (m) => m.sizeBytes, bytes);
  add('gzipped', (m) => m.gzipBytes, bytes);
  add('parameters', (m) => m.parameters, count);
  add('non-zero', (m) => m.nonZero, count);
  add('multiply-accumulates', (m) => m.macs, count);
  add('top-1 accuracy', (m) => m.accuracy?.top1, percent, false);
  add(
    'loss',
    (m) => m.accuracy?.loss,
    (value) => value.toFixed(4),
    false,
  );
  add(
    'latency, median',
    (m) => m.latencyMs?.median,
    (value) => `${value.toFixed(3)} ms`,
  );
  add(
    'latency, p90',
    (m) => m.latencyMs?.p90,
    (value) => `${value.toFixed(3)} ms`,
  );
  add('agreement with the original', (m) => m.fidelity.top1Agreement, percent, false);
  add(
    'signal to noise',
    (m) => m.fidelity.sqnrDb,
    (value) => `${value.toFixed(1)} dB`,
    false,
  );
  return [table(rows), ...measuredOn(after)].join('\n');
}

function measuredOn({ accuracy, latencyMs }: Measures): string[] {
  const lines: string[] = [];
  if (accuracy)
    lines.push(
      `Accuracy: ${count(accuracy.samples)} samples of the ${accuracy.split} split, on the downloadable file.`,
    );
  if (latencyMs) {
    lines.push(
      `Latency: batch ${latencyMs.batch}, ${latencyMs.threads} thread${latencyMs.threads === 1 ? '' : 's'}, ` +
        `${latencyMs.runtime}${latencyMs.simulated ? ' (simulated)' : ''}; both files interleaved in one run.`,
    );
  }
  return lines;
}
