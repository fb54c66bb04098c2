/** The imports between the modules of the tree, types included, tests left out. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import ts from 'typescript';

/**
 * @param {string} root of the tree
 * @param {readonly string[]} folders of it
 * @returns {{from: string, to: string}[]} paths from the root, `/` between folders; only between files of the tree
 */
export function importsOf(root, folders) {
  const found = [];
  for (const from of folders.flatMap((folder) => sourcesOf(root, folder))) {
    const { importedFiles } = ts.preProcessFile(readFileSync(join(root, from), 'utf8'), true, true);
    for (const { fileName } of importedFiles) {
      if (fileName.startsWith('.')) found.push({ from, to: join(dirname(from), fileName).split(sep).join('/') });
    }
  }
  return found;
}

/** Sources under a folder, tests and generated code left out, in the order of their paths. */
export function sourcesOf(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /(?<!\.test|\.d)\.ts$/.test(entry.name))
    .map((entry) =>
      relative(root, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
    .filter((path) => !path.includes('/generated/'))
    .sort();
}
