/**
 * Fidelity by exact integer arithmetic, beside what the measuring processor computes (graph/saturation.ts). A file none
 * of whose products can saturate is exact as measured; for any other a file with uint8 weights stands, which every
 * processor multiplies exactly.
 */
import type { Fidelity } from '../../contracts/report.ts';
import type { Batch } from '../data/dataset.ts';
import { writeOnnx } from '../formats/onnx/write.ts';
import { constantCodes, integerProducts, saturatingProducts } from '../graph/integer-products.ts';
import { unsignedWeights } from '../graph/passes/unsigned-weights.ts';
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
  const runtimeOf = files.map(({ exactFile }) => (exactFile ? opened.shift() : undefined));
  const meters = files.map(() => fidelityMeter());
  const compared = (i: number) => runtimeOf[i] !== undefined || (files[i]!.products > 0 && runtimeOf[0] !== undefined);
  return {
    async add({ inputs, size }, computed, rows) {
      const outputsOf = async (i: number) => (runtimeOf[i] ? runtimeOf[i].run(inputs) : computed[i]!);
      const original = runtimes.length > 0 ? await outputsOf(0) : computed[0]!;
      for (const [i, meter] of meters.entries())
        if (compared(i)) meter.add(original, i === 0 ? original : await outputsOf(i), size, rows);
    },
    result(i, measured) {
      const { products, saturating } = files[i]!;
      if (products === 0) return null;
      const { top1Agreement, sqnrDb, maxAbsError } = compared(i) ? meters[i]!.result() : measured;
      return { top1Agreement, sqnrDb, maxAbsError, saturatingProducts: saturating };
    },
  };
}
