/** `npm run openapi`: writes openapi.yaml from the route schemas, and the TypeScript client's types from it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { importBuilt, root } from './lib/built.mjs';
import { clientTypesPath, generateClientTypes } from './lib/client-types.mjs';

await build();
const { generateDocument } = await importBuilt('src/api/openapi/generate.js');
const { yaml, document } = await generateDocument();
writeFileSync(join(root, 'openapi.yaml'), yaml);
writeFileSync(clientTypesPath, await generateClientTypes(yaml));
console.log(
  `openapi.yaml: ${Object.values(document.paths).reduce((sum, path) => sum + Object.keys(path).length, 0)} operations`,
);
process.exit();
