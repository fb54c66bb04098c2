/**
 * Joins what each process loads into a few files under dist/bundle/: a process starts in half the time and half the
 * work, since Node resolves, reads and links some thirty modules instead of a thousand (docs/decisions/bundle.md).
 * esbuild's code splitting gives a chunk to those entries alone that reach all of it, so no process loads more than it
 * imports.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Packages of many small ES modules. All others stay packages: native addons, CommonJS, what is shared with them. */
const INLINED = /^(typebox|@bufbuild\/protobuf|csv-parse)(\/|$)/;

/** @type {import('esbuild').Plugin} */
const packagesApart = {
  name: 'packages-apart',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
      kind === 'entry-point' || INLINED.test(path) ? undefined : { path, external: true },
    );
  },
};

/**
 * @param {string} dist folder of the compiled files
 * @param {readonly string[]} entries paths below it
 */
export async function bundle(dist, entries) {
  const { build } = await import('esbuild');
  const folder = join(dist, 'bundle');
  const { outputFiles } = await build({
    absWorkingDir: dist,
    entryPoints: entries.map((entry) => join(dist, entry)),
    outbase: dist,
    outdir: folder,
    chunkNames: 'chunks/[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    logLevel: 'warning',
    plugins: [packagesApart],
    write: false,
  });
  // Chunks first: an entry that is there finds what it imports.
  const isChunk = ({ path }) => path.startsWith(join(folder, 'chunks'));
  for (const file of [...outputFiles.filter(isChunk), ...outputFiles.filter((file) => !isChunk(file))]) write(file);
  removeOthers(folder, new Set(outputFiles.map(({ path }) => path)));
}

function write({ path, contents }) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

function removeOthers(folder, kept) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (entry.isFile() && /\.js(\.map)?$/.test(entry.name) && !kept.has(path)) rmSync(path, { force: true });
  }
}
