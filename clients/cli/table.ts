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

interface Row {
  readonly label: string;
  of(measures: Measures): number | null | undefined;
  show(value: number): string;
  /** Whether after/before says something. */
  readonly ratio: boolean;
}

const milliseconds = (value: number): string => `${value.toFixed(3)} ms`;

const ROWS: readonly Row[] = [
  { label: 'file', of: (m) => m.sizeBytes, show: bytes, ratio: true },
  { label: 'gzipped', of: (m) => m.gzipBytes, show: bytes, ratio: true },
  { label: 'parameters', of: (m) => m.parameters, show: count, ratio: true },
  { label: 'non-zero', of: (m) => m.nonZero, show: count, ratio: true },
  { label: 'multiply-accumulates', of: (m) => m.macs, show: count, ratio: true },
  { label: 'top-1 accuracy', of: (m) => m.accuracy?.top1, show: percent, ratio: false },
  { label: 'loss', of: (m) => m.accuracy?.loss, show: (value) => value.toFixed(4), ratio: false },
  { label: 'latency, median', of: (m) => m.latencyMs?.median, show: milliseconds, ratio: true },
  { label: 'latency, p90', of: (m) => m.latencyMs?.p90, show: milliseconds, ratio: true },
  { label: 'agreement with the original', of: (m) => m.fidelity.top1Agreement, show: percent, ratio: false },
  { label: 'signal to noise', of: (m) => m.fidelity.sqnrDb, show: (value) => `${value.toFixed(1)} dB`, ratio: false },
];

/** The before/after table of a report: a line per measure, with the ratio where one makes sense. */
export function reportTable({ before, after }: Report): string {
  const rows = ROWS.flatMap(({ label, of, show, ratio }) => {
    const [from, to] = [of(before), of(after)];
    if (from == null || to == null) return [];
    return [[label, show(from), show(to), ratio && from !== 0 ? percent(to / from) : '']];
  });
  return [table([['', 'before', 'after', 'after/before'], ...rows]), ...measuredOn(after)].join('\n');
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
