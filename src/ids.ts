/**
 * Ids that say what they name and sort by when they were made: TypeIDs (https://github.com/jetify-com/typeid), a prefix
 * of three letters and a UUID of version 7 in 26 digits of base 32, such as `job_01m8p7aqfdeh0sac1erbspv3v2`.
 */
import { TypeID, typeid } from 'typeid-js';

export const ID_PREFIXES = {
  model: 'mdl',
  dataset: 'dst',
  job: 'job',
  artifact: 'art',
  key: 'key',
  tenant: 'tnt',
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

/** Within one process each id is greater than all before it, but where the clock goes back by more than 10 s. */
export function newId(kind: IdKind): string {
  return typeid(ID_PREFIXES[kind]).toString();
}

export function isId(kind: IdKind, text: string): boolean {
  try {
    TypeID.fromString(text, ID_PREFIXES[kind]);
    return true;
  } catch {
    return false;
  }
}
