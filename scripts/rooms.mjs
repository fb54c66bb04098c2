/** The picture of the rooms in docs/architecture.md, drawn from the imports (types included, tests left out). */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { importsOf } from './lib/imports.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const PAGE = join(root, 'docs', 'architecture.md');
const [BEGIN, END] = ['<!-- rooms: written by npm run docs -->', '<!-- end of rooms -->'];

/** Of the whole: folders of src/, and the folders beside it. */
const house = (path) => /^src\/([^/]+)\//.exec(path)?.[1] ?? /^(workers|clients)\//.exec(path)?.[1];
/** Of the engine: folders of src/compression/. */
const engine = (path) => /^src\/compression\/([^/]+)\//.exec(path)?.[1];

/** @returns {string} two mermaid charts */
export function picture() {
  const imports = importsOf(root, ['src', 'workers', 'clients']);
  return [house, engine].map((roomOf) => chart(withoutImplied(edgesBetween(imports, roomOf)))).join('\n\n');
}

/**
 * @param {string} page
 * @param {string} drawn
 * @returns {string} the page with the picture between its two markers
 * @throws Error where the page lacks one of them
 */
export function withPicture(page, drawn) {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`docs/architecture.md needs the lines ${BEGIN} and ${END}`);
  return `${page.slice(0, begin + BEGIN.length)}\n\n${drawn}\n\n${page.slice(end)}`;
}

/** @returns {Map<string, Set<string>>} by room, the rooms it imports from */
function edgesBetween(imports, roomOf) {
  const edges = new Map();
  for (const { from, to } of imports) {
    const [a, b] = [roomOf(from), roomOf(to)];
    if (!a || !b || a === b) continue;
    if (!edges.has(a)) edges.set(a, new Set());
    edges.get(a).add(b);
  }
  return edges;
}

/** Without the edges that a longer way between the same two rooms implies. */
function withoutImplied(edges) {
  const directOf = (room) => [...(edges.get(room) ?? [])];
  const isImplied = (room, other) => directOf(room).some((next) => next !== other && reaches(edges, next, other));
  return [...edges.keys()].sort().map((room) => [
    room,
    directOf(room)
      .filter((other) => !isImplied(room, other))
      .sort(),
  ]);
}

function reaches(edges, from, to, seen = new Set()) {
  if (from === to) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return [...(edges.get(from) ?? [])].some((next) => reaches(edges, next, to, seen));
}

function chart(rooms) {
  const lines = rooms.map(([room, others]) => `  ${room} --> ${others.join(' & ')}`);
  return ['```mermaid', 'flowchart TD', ...lines, '```'].join('\n');
}

/** Writes the picture into the page. */
export function writePicture() {
  writeFileSync(PAGE, withPicture(readFileSync(PAGE, 'utf8'), picture()));
}
