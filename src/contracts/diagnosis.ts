/**
 * What `lathe doctor` finds: one line per thing that Lathe needs or uses, and the command that mends what is missing.
 */
import { Type, type Static } from 'typebox';

export const Finding = Type.Object({
  name: Type.String(),
  value: Type.String(),
  /** `warning`: works, with less than there could be. */
  state: Type.Union([Type.Literal('ok'), Type.Literal('warning'), Type.Literal('missing')]),
  remedy: Type.Optional(Type.String({ description: 'the command that mends it' })),
});
export type Finding = Static<typeof Finding>;
