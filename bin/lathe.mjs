#!/usr/bin/env node
/** The command line. In a clone it sets itself up first; an image holds dist/ alone and is ready as it is. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
if (existsSync(join(root, 'src'))) {
  const { setupOrExit } = await import('../scripts/setup.mjs');
  await setupOrExit();
}
process.setSourceMapsEnabled(true);
await import(pathToFileURL(join(root, 'dist', 'bundle', 'clients', 'cli', 'main.js')).href);
