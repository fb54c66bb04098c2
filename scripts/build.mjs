/**
 * Compiles src/, workers/, clients/ and bench/ file by file to dist/: types are erased and `./x.ts` imports become
 * `./x.js`; plain JavaScript is copied. Only files whose content changed are compiled; what has no source any more is
 * removed. What the service's processes start from is then bundled. Two builds at once do no harm: each output appears
 * by a rename.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundle } from './lib/bundle.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, 'dist');
const bundled = join(dist, 'bundle');
const manifestPath = join(dist, '.manifest.json');
const SOURCE_FOLDERS = ['src', 'workers', 'clients', 'bench'];
const SOURCE = /(?<!\.test|\.d)\.(ts|mjs)$/;
/** Raise to make every file compile again. */
const COMPILER_REVISION = 3;

/** @returns {Promise<{compiled: number, removed: number, total: number}>} */
export async function build() {
  const before = readManifest();
  const after = {};
  let compiled = 0;
  for (const source of SOURCE_FOLDERS.flatMap((folder) => listFiles(join(root, folder), SOURCE))) {
    const name = relative(root, source);
    const { mtimeMs, size } = statSync(source);
    const known = before.files[name];
    if (known && known.mtimeMs === mtimeMs && known.size === size && existsSync(outputPath(name))) {
      after[name] = known;
      continue;
    }
    const text = readFileSync(source, 'utf8');
    const hash = hashOf(text);
    if (known?.hash !== hash || !existsSync(outputPath(name))) {
      writeAtomically(outputPath(name), compile(name, text));
      compiled++;
    }
    after[name] = { mtimeMs, size, hash };
  }
  const expected = new Set(Object.keys(after).map(outputPath));
  const gone = listFiles(dist, /\.m?js$/).filter((path) => !path.startsWith(bundled) && !expected.has(path));
  for (const path of gone) rmSync(path, { force: true });
  const lock = hashOf(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  if (compiled > 0 || gone.length > 0 || before.lock !== lock) {
    const { PROCESS_SCRIPTS } = await import(pathToFileURL(join(dist, 'src/process/entry.js')).href);
    await bundle(dist, PROCESS_SCRIPTS);
    writeAtomically(manifestPath, JSON.stringify({ revision: COMPILER_REVISION, lock, files: after }));
  }
  return { compiled, removed: gone.length, total: Object.keys(after).length };
}

function hashOf(text) {
  return createHash('sha256').update(text).digest('hex');
}

function listFiles(folder, pattern) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function outputPath(name) {
  return join(dist, name.replace(/\.ts$/, '.js'));
}

let typescript;
function compile(name, text) {
  if (name.endsWith('.mjs')) return text;
  typescript ??= createRequire(import.meta.url)('typescript');
  const { outputText } = typescript.transpileModule(text, {
    fileName: name,
    compilerOptions: {
      target: typescript.ScriptTarget.ES2022,
      module: typescript.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
      inlineSourceMap: true,
      sourceRoot: pathToFileURL(join(root, dirname(name))).href,
    },
  });
  return outputText;
}

function readManifest() {
  try {
    const manifest = JSON.parse(readFileSync(manifestPath, 'utf8'));
    if (manifest.revision === COMPILER_REVISION) return manifest;
  } catch {
    /* first build, or an interrupted one: compile everything */
  }
  return { files: {} };
}

function writeAtomically(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, content);
  renameSync(temporary, path);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const started = performance.now();
  const { compiled, removed, total } = await build();
  console.log(
    `Built dist: ${compiled} of ${total} files compiled, ${removed} removed, in ` +
      `${((performance.now() - started) / 1000).toFixed(1)} s`,
  );
}
