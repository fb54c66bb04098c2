/** Warns about steps that made a figure worse. */
import type { Step } from '../../contracts/job-request.ts';
import type { Measures, ReportWarning } from '../../contracts/report.ts';
import { specOf } from '../techniques/registry.ts';
import { elementAt } from '../ir/checked-access.ts';

/** Changes smaller than these are noise or the price of the technique. */
const SLOWER = 1.1;
const LARGER = 1.02;
const ACCURACY_LOSS = 0.01;
const AGREEMENT = 0.9;
/**
 * Thresholds for outputs that are values, not classes: outputs off by a tenth of their size, and a grown loss where the
 * outputs are not nearly equal.
 */
const NOISE_DB = 20;
/** Where the largest output stays in its place, which says little unless the outputs are classes: off by a third. */
const NOISE_BESIDE_AGREEMENT_DB = 10;
const AS_GOOD_AS_EQUAL_DB = 40;
const LOSS_GROWTH = 1.1;
/** Warns if fidelity differs by more than this between exact arithmetic and the measuring processor's. */
const DIFFERENT_DB = 1;

/** `measures[0]` is the original, `measures[i + 1]` the model after step i. */
export function comparisonWarnings(steps: readonly Step[], measures: readonly Measures[]): ReportWarning[] {
  return steps.flatMap(({ technique }, step) => {
    if (specOf(technique)?.isReadOnly) return [];
    const [before, after] = [elementAt(measures, step, 'measures'), elementAt(measures, step + 1, 'measures')];
    return stepWarnings(technique, before, after).map((warning) => ({ ...warning, step }));
  });
}

function stepWarnings(technique: string, before: Measures, after: Measures): ReportWarning[] {
  const warnings: ReportWarning[] = [];
  if (before.latencyMs && after.latencyMs && after.latencyMs.median > before.latencyMs.median * SLOWER) {
    warnings.push({
      code: 'slower',
      message:
        `After ${technique} the model takes ${ms(after.latencyMs)} instead of ${ms(before.latencyMs)} ` +
        `on ${after.latencyMs.runtime}`,
    });
  }
  if (after.sizeBytes > before.sizeBytes * LARGER) {
    warnings.push({
      code: 'larger',
      message: `After ${technique} the file has ${after.sizeBytes} bytes instead of ${before.sizeBytes}`,
    });
  }
  const [was, is] = [before.accuracy?.top1, after.accuracy?.top1];
  if (was != null && is != null && is < was - ACCURACY_LOSS) {
    warnings.push({
      code: 'less-accurate',
      message: `After ${technique} the top-1 accuracy is ${percent(is)} instead of ${percent(was)}`,
    });
  }
  return [...warnings, ...arithmeticWarnings(technique, before, after), ...valueWarnings(technique, before, after)];
}

/** Integer products that saturate: here, or on other processors than the measuring one. */
function arithmeticWarnings(technique: string, before: Measures, { fidelity, latencyMs }: Measures): ReportWarning[] {
  const { exact, sqnrDb } = fidelity;
  if (!exact || exact.saturatingProducts <= (before.fidelity.exact?.saturatingProducts ?? 0)) return [];
  const [here, exactly] = [sqnrDb ?? Infinity, exact.sqnrDb ?? Infinity];
  const products = `${exact.saturatingProducts} product(s) of integers`;
  const { saturationRemedy } = specOf(technique) ?? {};
  const remedy = saturationRemedy ? `; ${saturationRemedy}` : '';
  if (Math.abs(here - exactly) <= DIFFERENT_DB) {
    return [
      {
        code: 'may-saturate',
        message:
          `After ${technique} ${products} can saturate in 16 bits on x86 processors without VNNI, ` +
          `where the outputs then differ from those measured here${remedy}`,
      },
    ];
  }
  const processor = latencyMs?.processor ? ` (${latencyMs.processor})` : '';
  return [
    {
      code: 'saturates',
      message:
        `After ${technique} ${products} saturate in 16 bits on this processor${processor}: ` +
        `${decibels(here)} against the original instead of the ${decibels(exactly)} of exact arithmetic${remedy}`,
    },
  ];
}

const decibels = (value: number) => (Number.isFinite(value) ? `${value.toFixed(1)} dB` : 'no noise');

/** For targets that are values: the loss. Without labels: how far the outputs are from the original's. */
function valueWarnings(technique: string, before: Measures, after: Measures): ReportWarning[] {
  const noise = after.fidelity.sqnrDb ?? Infinity;
  if (!before.accuracy || !after.accuracy)
    return agreementWarnings(technique, before, after) ?? noiseWarnings(technique, before, after);
  const [was, is] = [before.accuracy.loss, after.accuracy.loss];
  if (before.accuracy.top1 !== null || is <= was * LOSS_GROWTH || noise > AS_GOOD_AS_EQUAL_DB) return [];
  return [
    {
      code: 'less-accurate',
      message: `After ${technique} the mean squared error is ${is.toPrecision(3)} instead of ${was.toPrecision(3)}`,
    },
  ];
}

/** null: the classes agree, as far as the outputs are classes at all. */
function agreementWarnings(technique: string, before: Measures, after: Measures): ReportWarning[] | null {
  const agreement = after.fidelity.top1Agreement;
  if (agreement === null || agreement >= AGREEMENT) return null;
  if ((before.fidelity.top1Agreement ?? 1) - agreement <= ACCURACY_LOSS) return [];
  const message = `After ${technique} the model agrees with the original on ${percent(agreement)} of the samples`;
  return [{ code: 'less-faithful', message }];
}

/** Outputs may be off with their largest in its place. */
function noiseWarnings(technique: string, { fidelity: earlier }: Measures, { fidelity }: Measures): ReportWarning[] {
  const noise = fidelity.sqnrDb ?? Infinity;
  const limit = fidelity.top1Agreement === null ? NOISE_DB : NOISE_BESIDE_AGREEMENT_DB;
  if (noise > limit || noise > (earlier.sqnrDb ?? Infinity) - 1) return [];
  const share = percent(10 ** (-noise / 20));
  const message = `After ${technique} the outputs are off by ${share} of their size (${noise.toFixed(1)} dB)`;
  return [{ code: 'less-faithful', message }];
}

const ms = ({ median }: NonNullable<Measures['latencyMs']>) => `${median.toPrecision(3)} ms`;
const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
