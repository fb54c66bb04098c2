/** Networks that a benchmark was asked for by name, and what its result is called. */
import { instructionSet } from './instruction-set.ts';

/** Those named on the command line; all where none is. @throws Error for a name that there is not */
export function chosenOf<T extends { readonly name: string }>(all: readonly T[]): readonly T[] {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !all.some((each) => each.name === name));
  if (unknown) throw new Error(`There is no network "${unknown}"; there are ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => asked.length === 0 || asked.includes(name));
}

/** With the processor's instruction set, and the networks where they are not all. */
export function resultName(benchmark: string, networks: readonly string[], all: number): string {
  return [benchmark, instructionSet(), ...(networks.length < all ? networks : [])].join('-');
}
