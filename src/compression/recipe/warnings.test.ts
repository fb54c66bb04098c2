import { describe, expect, it } from 'vitest';
import type { Measures } from '../../contracts/report.ts';
import { comparisonWarnings } from './warnings.ts';

interface Given {
  readonly top1?: number | null;
  readonly loss?: number;
  readonly agreement?: number | null;
  readonly sqnrDb?: number | null;
  readonly exact?: { readonly sqnrDb: number | null; readonly saturating: number };
}

const measures = ({ top1, loss, agreement = null, sqnrDb = null, exact }: Given): Measures => ({
  sizeBytes: 1,
  gzipBytes: 1,
  parameters: 1,
  nonZero: 1,
  macs: 1,
  latencyMs: null,
  accuracy: loss === undefined ? null : { top1: top1 ?? null, loss, samples: 10, split: 'test' },
  fidelity: {
    top1Agreement: agreement,
    sqnrDb,
    maxAbsError: 0,
    samples: 10,
    exact: exact
      ? { top1Agreement: null, sqnrDb: exact.sqnrDb, maxAbsError: 0, saturatingProducts: exact.saturating }
      : null,
  },
});
const warned = (before: Given, after: Given) =>
  comparisonWarnings([{ technique: 'quantize' }], [measures(before), measures(after)]);

describe('comparisonWarnings', () => {
  it.each<[string, Given, Given, string, RegExp]>([
    [
      'classes with labels',
      { top1: 0.9, loss: 1 },
      { top1: 0.8, loss: 1, sqnrDb: 30 },
      'less-accurate',
      /80\.00 % instead of 90\.00 %/,
    ],
    [
      'classes without labels',
      { agreement: 1 },
      { agreement: 0.8, sqnrDb: 12 },
      'less-faithful',
      /80\.00 % of the samples/,
    ],
    [
      'values with labels',
      { loss: 0.5 },
      { loss: 0.6, sqnrDb: 25 },
      'less-accurate',
      /squared error is 0\.600 instead of 0\.500/,
    ],
    [
      'outputs without labels whose largest stays',
      { agreement: 1 },
      { agreement: 1, sqnrDb: 0 },
      'less-faithful',
      /off by 100\.00 % of their size/,
    ],
    ['values without labels', {}, { sqnrDb: 6.0206 }, 'less-faithful', /off by 50\.00 % of their size \(6\.0 dB\)/],
  ])('%s that got worse', (_, before, after, code, message) => {
    expect(warned(before, after)).toEqual([{ code, message: expect.stringMatching(message) as unknown, step: 0 }]);
  });

  it.each<[string, Given, string, RegExp]>([
    [
      'saturates here',
      { sqnrDb: 25, exact: { sqnrDb: 32, saturating: 3 } },
      'saturates',
      /3 product\(s\) .* on this processor: 25\.0 dB .* 32\.0 dB of exact/,
    ],
    [
      'may saturate elsewhere',
      { sqnrDb: 32, exact: { sqnrDb: 32, saturating: 2 } },
      'may-saturate',
      /2 product\(s\) .* without VNNI/,
    ],
  ])('arithmetic that %s', (_, after, code, message) => {
    expect(warned({}, after)).toEqual([{ code, message: expect.stringMatching(message) as unknown, step: 0 }]);
    expect(warned({ exact: { sqnrDb: null, saturating: 3 } }, after)).toEqual([]); // an earlier step's, or the upload's
  });

  it.each<[string, Given, Given]>([
    ['integers that are exact everywhere', {}, { sqnrDb: 32, exact: { sqnrDb: 32, saturating: 0 } }],
    ['a loss that was as good as none', { loss: 1e-9 }, { loss: 1e-8, sqnrDb: 70 }],
    ['a loss that is smaller', { loss: 0.5 }, { loss: 0.4, sqnrDb: 5 }],
    ['noise that an earlier step made', { sqnrDb: 10 }, { sqnrDb: 10 }],
    ['noise below a tenth', {}, { sqnrDb: 25 }],
    ['noise that changes no class', { agreement: 1 }, { agreement: 0.99, sqnrDb: 15 }],
    ['noise that costs no accuracy', { top1: 0.9, loss: 1 }, { top1: 0.9, loss: 2, sqnrDb: 5 }],
  ])('says nothing of %s', (_, before, after) => expect(warned(before, after)).toEqual([]));
});
