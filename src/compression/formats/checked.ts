/** Access to lists that throws an error naming what is missing, instead of passing `undefined` on. */

/** A list of exactly `N` elements; of any number where `N` is not a literal. */
export type Tuple<T, N extends number, Built extends T[] = []> = number extends N
  ? T[]
  : Built['length'] extends N
    ? Built
    : Tuple<T, N, [...Built, T]>;

function hasLength<T, N extends number>(values: readonly T[], length: N): values is readonly T[] & Tuple<T, N> {
  return values.length === length;
}

/** A copy of the values as a tuple. @throws Error where there are fewer or more of them */
export function tupleOf<T, N extends number>(values: readonly T[], length: N, what: string): Tuple<T, N> {
  const copy = [...values];
  if (hasLength(copy, length)) return copy;
  throw new Error(`${what} has ${values.length} elements; it must have ${length}`);
}

/** The element at `index`, counted from the end where negative. @throws Error where there is none */
export function item<T>(values: readonly T[], index: number, what: string): T {
  const value = values.at(index);
  if (value === undefined) throw new Error(`${what} has ${values.length} elements, none at ${index}`);
  return value;
}

/** The value, which must exist. @throws Error that names it */
export function existing<T>(value: T | null | undefined, what: string): T {
  if (value === null || value === undefined) throw new Error(`${what} is missing`);
  return value;
}

/** A tuple or list of the length of `T` with other elements. */
export type Mapped<T extends readonly unknown[], U> = { -readonly [K in keyof T]: U };

/** `values.map(apply)` that keeps the length of a tuple. */
export function mapTuple<const T extends readonly unknown[], U>(
  values: T,
  apply: (value: T[number], index: number) => U,
): Mapped<T, U> {
  return values.map(apply) as Mapped<T, U>;
}
