/** Lengths of functions in lines, and counts of lines, wide lines, `!` and `as`, of a TypeScript source. */
export function measureSource(text: string): {
  lengths: number[];
  lines: number;
  wide: number;
  nonNull: number;
  assertions: number;
};
