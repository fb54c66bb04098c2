/** What a recurrent layer takes and gives, in either direction. */
import { type Config, type LayerContext, type WeightArray } from '../../layer.ts';
import { type Signal } from '../../signal.ts';

export interface RawLayer {
  readonly class_name: string;
  readonly config: Config;
}

/** A recurrent layer's outputs: every step in the order taken, or the last one; then the states. */
export interface Pass {
  readonly output: Signal;
  readonly states: readonly Signal[];
}

export interface PassInput {
  readonly signal: Signal;
  readonly arrays: readonly WeightArray[];
  readonly initial: readonly Signal[];
  readonly mask: string | null;
}

/** Reverses the steps of [n, t, ...]. */
export const flip = (b: LayerContext['b'], value: string, name: string): string =>
  b.op(
    'Slice',
    [value, b.ints([-1]), b.ints([-Number.MAX_SAFE_INTEGER]), b.ints([1]), b.ints([-1])],
    {},
    `${name}/reversed`,
  );

export function checkInitial(initial: readonly Signal[], count: number): readonly Signal[] {
  if (initial.length !== 0 && initial.length !== count)
    throw new Error(`is given ${initial.length} initial states where it has ${count}`);
  return initial;
}

export const initialOf = (ctx: LayerContext): readonly Signal[] => [
  ...ctx.inputs.slice(1),
  ...(ctx.keywords.get('initial_state') ?? []),
];
