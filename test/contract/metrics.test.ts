import { expect, it } from 'vitest';
import { measureSource } from '../../scripts/metrics.mjs';

const SOURCE = `/** Outer has 5 lines, inner 3, the arrow 1; an overload has none. */
export function outer(x: number): void;
export function outer(x: unknown): void {
  function inner(): number {
    return (x as number[])[0]! + list!.length;
  }
}
const arrow = (y: number) => y as unknown;
const fixed = ['a!', "b as c"] as const; // not this! nor as that
const wide = '${'x'.repeat(105)}';
const fits = '${'x'.repeat(104)}';
`;

it('counts functions, wide lines, non-null and type assertions', () => {
  const { lengths, ...counts } = measureSource(SOURCE);
  expect(lengths).toEqual([5, 3, 1]);
  expect(counts).toEqual({ lines: 11, wide: 1, nonNull: 2, assertions: 2 });
});
