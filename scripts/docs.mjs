/** Writes docs/models.md from the engine's own tables. */
import { writeFileSync } from 'node:fs';
import { build } from './build.mjs';

await build();
const { modelsPage } = await import('../dist/src/compression/formats/catalogue.js');
writeFileSync(new URL('../docs/models.md', import.meta.url), modelsPage());
console.log('Wrote docs/models.md');
