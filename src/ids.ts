/**
 * Ids that say what they name and sort by when they were made: `job_` + 48 bits of milliseconds + 80 random bits, in
 * base 32.
 */
import { randomBytes } from 'node:crypto';

export const ID_PREFIXES = {
  model: 'mdl',
  dataset: 'dst',
  job: 'job',
  artifact: 'art',
  key: 'key',
  tenant: 'tnt',
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

/** Crockford's alphabet, lower case: sorts as its digits do, and has no letters that are taken for digits. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const TIME_DIGITS = 10;
const RANDOM_DIGITS = 16;
const PATTERN = /^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$/;

let last = { milliseconds: 0, random: 0n };

/** Within one process each id is greater than all before it. */
export function newId(kind: IdKind, milliseconds: number = Date.now()): string {
  const fresh = BigInt(`0x${randomBytes(10).toString('hex')}`);
  last =
    milliseconds > last.milliseconds
      ? { milliseconds, random: fresh >> 1n } // one bit of room to count up
      : { milliseconds: last.milliseconds, random: last.random + 1n + BigInt(randomBytes(1)[0] as number) };
  return `${ID_PREFIXES[kind]}_${digits(BigInt(last.milliseconds), TIME_DIGITS)}${digits(last.random, RANDOM_DIGITS)}`;
}

export function isId(kind: IdKind, text: string): boolean {
  return PATTERN.test(text) && text.startsWith(`${ID_PREFIXES[kind]}_`);
}

function digits(value: bigint, count: number): string {
  let text = '';
  for (let rest = value; text.length < count; rest >>= 5n) text = ALPHABET[Number(rest & 31n)] + text;
  return text;
}
