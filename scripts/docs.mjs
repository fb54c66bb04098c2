/**
 * Writes docs/models.md from the engine's own tables, docs/configuration.md from the schema of the variables, and the
 * picture of the rooms in docs/architecture.md.
 */
import { writeFileSync } from 'node:fs';
import { build } from './build.mjs';
import { importBuilt } from './lib/built.mjs';
import { writePicture } from './rooms.mjs';

await build();
const { modelsPage } = await importBuilt('src/compression/formats/catalogue.js');
writeFileSync(new URL('../docs/models.md', import.meta.url), modelsPage());
const { configurationPage } = await import('../dist/src/config/page.js');
writeFileSync(new URL('../docs/configuration.md', import.meta.url), configurationPage());
writePicture();
console.log('Wrote docs/models.md, docs/configuration.md and the rooms in docs/architecture.md');
