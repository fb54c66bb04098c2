/** `layers: {include, exclude}`: which layers a technique touches, by glob patterns over names of nodes and weights. */
import { Type, type Static } from 'typebox';

const Patterns = (description: string) => Type.Optional(Type.Array(Type.String({ minLength: 1 }), { description }));

export const LayerFilter = Type.Object(
  {
    include: Patterns('glob patterns (* and ?) over names of nodes and weights; default: all'),
    exclude: Patterns('patterns of what is left alone; wins over include'),
  },
  { additionalProperties: false, default: {}, description: 'which layers the step touches' },
);
export type LayerFilter = Static<typeof LayerFilter>;

/** A predicate over all names of one weight (its own, those of its nodes). */
export function layerMatcher({ include, exclude }: LayerFilter): (names: readonly string[]) => boolean {
  const wanted = include?.map(globPattern);
  const unwanted = exclude?.map(globPattern) ?? [];
  const matches = (patterns: readonly RegExp[], names: readonly string[]) =>
    patterns.some((pattern) => names.some((name) => pattern.test(name)));
  return (names) => (wanted === undefined || matches(wanted, names)) && !matches(unwanted, names);
}

/** `*`: any characters, slashes included (names often contain them), `?`: one character; everything else is literal. */
function globPattern(glob: string): RegExp {
  const escaped = glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${escaped}$`, 's');
}
