/**
 * Convolutions of one group as fewer filters and a 1x1 one, as a column and a row, and by Tucker's decomposition of
 * their channels.
 */
import { balancedFactors, firstColumns, transposed, type Factors } from './matrix.ts';
import { chain, kernel, pointSettings, product, settings, type Convolution } from './convolution-chain.ts';
import { lostEnergy, rankFor, type Factorization, type Replacement, type Target } from './factorization.ts';
import type { FactorizeParameters } from './spec.ts';
import { tuckerFactorization } from './tucker.ts';
import { elementAt } from '../../ir/checked-access.ts';

export function convolutionFactorizations(
  convolution: Convolution,
  method: FactorizeParameters['method'],
  target: Target,
): Factorization[] {
  const isPointwise = product(convolution.size) === 1;
  const found: (Factorization | null)[] = [];
  if (method !== 'tucker' || isPointwise)
    found.push(fewerFilters(convolution, target), columnAndRow(convolution, target));
  if (method !== 'svd' && !isPointwise) found.push(tuckerFactorization(convolution, target));
  return found.filter((each) => each !== null);
}

/**
 * [outputs, inputs x size] by its singular values (Zhang et al. 2016, section 3.1): `rank` filters of the old size,
 * then 1x1.
 */
function fewerFilters(convolution: Convolution, target: Target): Factorization | null {
  const { values, outputs, inputs, size, layer } = convolution;
  const width = inputs * product(size);
  const factors = balancedFactors(values, outputs, width);
  const lost = lostEnergy(factors.values);
  const rank = rankFor(lost, width + outputs, layer, target);
  const cost = rank * (width + outputs);
  return rank < 1
    ? null
    : {
        parameters: cost,
        macs: cost,
        error: elementAt(lost, rank, 'rank'),
        replacement: (fresh) => filtersThenPoint(convolution, factors, rank, fresh),
      };
}

function filtersThenPoint(
  { node, weight, outputs, inputs, size }: Convolution,
  { left, right, values }: Factors,
  rank: number,
  fresh: (base: string) => string,
): Replacement {
  const k = values.length;
  const filters = kernel(
    weight,
    fresh(`${weight.name}_filters`),
    [rank, inputs, ...size],
    transposed(firstColumns(right, rank, k), inputs * product(size)),
  );
  const point = kernel(
    weight,
    fresh(`${weight.name}_point`),
    [outputs, rank, ...size.map(() => 1)],
    firstColumns(left, rank, k),
  );
  return chain(
    node,
    [
      { kernel: filters, attributes: settings(node, size) },
      { kernel: point, attributes: pointSettings(size) },
    ],
    fresh,
  );
}

/**
 * [inputs x height, width x outputs] by its singular values (Jaderberg et al. 2014, scheme 2): a column of `rank`
 * filters, then a row.
 */
function columnAndRow(convolution: Convolution, target: Target): Factorization | null {
  const { values, outputs, inputs, size, strides, layer } = convolution;
  const [height = 1, width = 1] = size;
  if (size.length !== 2 || height === 1 || width === 1) return null;
  const [rows, columns] = [inputs * height, width * outputs];
  const at = (o: number, i: number, y: number, x: number): number =>
    values[((o * inputs + i) * height + y) * width + x]!;
  const matrix = Float32Array.from({ length: rows * columns }, (_, index) => {
    const [row, column] = [Math.floor(index / columns), index % columns];
    return at(column % outputs, Math.floor(row / height), row % height, Math.floor(column / outputs));
  });
  const factors = balancedFactors(matrix, rows, columns);
  const lost = lostEnergy(factors.values);
  const rank = rankFor(lost, rows + columns, layer, target);
  const macs = rank * (rows * elementAt(strides, 1, 'stride') + columns);
  return rank < 1
    ? null
    : {
        parameters: rank * (rows + columns),
        macs,
        error: elementAt(lost, rank, 'rank'),
        replacement: (fresh) => columnThenRow(convolution, factors, rank, fresh),
      };
}

function columnThenRow(
  { node, weight, outputs, inputs, size }: Convolution,
  { left, right, values }: Factors,
  rank: number,
  fresh: (base: string) => string,
): Replacement {
  const [height, width] = size as [number, number];
  const k = values.length;
  const column = kernel(
    weight,
    fresh(`${weight.name}_column`),
    [rank, inputs, height, 1],
    transposed(firstColumns(left, rank, k), inputs * height),
  );
  const byRow = firstColumns(right, rank, k); // [width, outputs, rank]
  const row = kernel(
    weight,
    fresh(`${weight.name}_row`),
    [outputs, rank, 1, width],
    Float32Array.from(
      { length: outputs * rank * width },
      (_, i) =>
        byRow[((i % width) * outputs + Math.floor(i / (rank * width))) * rank + (Math.floor(i / width) % rank)]!,
    ),
  );
  return chain(
    node,
    [
      { kernel: column, attributes: settings(node, size, 0) },
      { kernel: row, attributes: settings(node, size, 1) },
    ],
    fresh,
  );
}
