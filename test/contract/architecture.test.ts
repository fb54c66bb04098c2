/** docs/architecture.md matches the tree. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { picture, withPicture } from '../../scripts/rooms.mjs';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');

it('draws the rooms as they import each other (else: npm run docs)', () => {
  expect(withPicture(page, picture())).toBe(page);
});

it('refuses a page without the markers', () => {
  expect(() => withPicture('# Architecture', picture())).toThrow('docs/architecture.md needs the lines');
});

/** A section's text, up to the next heading. */
function section(title: string): string {
  const start = page.indexOf(`### ${title}\n`);
  expect(start).toBeGreaterThan(0);
  return page.slice(start + 4).split(/\n##+ /)[0]!;
}

describe.each([
  ['Three walks', 36],
  ['Where does X go?', 20],
])('%s', (title, least) => {
  const paths = [...section(title).matchAll(/`([\w.-]+\/[\w./-]*)`/g)].map((match) => match[1]!);

  it('names files that exist', () => {
    expect(paths.length).toBeGreaterThanOrEqual(least);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

it('walks at most twelve hops', () => {
  const hops = [...section('Three walks').matchAll(/^(\d+)\. `/gm)].map((match) => Number(match[1]));
  expect(hops.filter((hop) => hop === 1)).toHaveLength(3);
  expect(Math.max(...hops)).toBeLessThanOrEqual(12);
});
