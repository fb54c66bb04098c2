/**
 * Fidelity by exact integer arithmetic, beside what the measuring processor computes (graph/saturation.ts). A file
 * whose products cannot saturate is exact as measured; any other is replaced by a file with uint8 weights, which every
 * processor multiplies exactly.
 */
import type { Fidelity } from '../../contracts/report.ts';
import type { Batch } from '../data/dataset.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { constantCodes, integerProducts, saturatingProducts } from '../graph/integer-products.ts';
import { unsignedWeights } from '../graph/passes/unsigned-weights.ts';
import { elementAt } from '../ir/checked-access.ts';
import type { Model } from '../ir/types.ts';
import { fidelityMeter, type Outputs, type PlainFidelity } from './fidelity.ts';
import type { Runtime } from './session.ts';

export interface IntegerArithmetic {
  /** Products of integers in the file. */
  readonly products: number;
  /** Those of them that may saturate. */
  readonly saturating: number;
  /** ONNX; null where the file itself is exact. */
  readonly exactFile: Uint8Array | null;
}

/** How a file multiplies integers, and the file that does so exactly. */
export function integerArithmetic(model: Model): IntegerArithmetic {
  const products = integerProducts(model.graph);
  const saturating = new Set(saturatingProducts(model.graph).map(({ node }) => node)).size;
  const unknown = products.some((product) => constantCodes(model.graph, product) === null);
  const exact = saturating > 0 || unknown ? unsignedWeights(model) : model;
  return { products: products.length, saturating, exactFile: exact === model ? null : writeOnnx(exact) };
}

type Exact = NonNullable<Fidelity['exact']>;

export interface ExactComparison {
  /** `computed`: outputs of all files as measured, the original's first. */
  add(batch: Batch, computed: readonly Outputs[], rows: number): Promise<void>;
  /** Of file i, whose measured fidelity is given. */
  result(i: number, measured: PlainFidelity): Exact | null;
}

/** `runtimes`: of the exact files, in order. */
export function exactComparison(files: readonly IntegerArithmetic[], runtimes: readonly Runtime[]): ExactComparison {
  const opened = [...runtimes];
  const parts = files.map((file) => ({
    file,
    runtime: file.exactFile ? opened.shift() : undefined,
    meter: fidelityMeter(),
  }));
  const isOriginalRun = parts[0]?.runtime !== undefined;
  const isCompared = ({ file, runtime }: (typeof parts)[number]) =>
    runtime !== undefined || (file.products > 0 && isOriginalRun);
  return {
    async add({ inputs, size }, computed, rows) {
      const outputsOf = async (i: number) =>
        (await parts[i]?.runtime?.run(inputs)) ?? elementAt(computed, i, 'outputs of file');
      const original = await outputsOf(0);
      for (const [i, part] of parts.entries())
        if (isCompared(part)) part.meter.add(original, i === 0 ? original : await outputsOf(i), size, rows);
    },
    result(i, measured) {
      const part = elementAt(parts, i, 'file');
      const { products, saturating } = part.file;
      if (products === 0) return null;
      const { top1Agreement, sqnrDb, maxAbsError } = isCompared(part) ? part.meter.result() : measured;
      return { top1Agreement, sqnrDb, maxAbsError, saturatingProducts: saturating };
    },
  };
}
