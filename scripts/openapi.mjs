/** `npm run openapi`: writes openapi.yaml from the route schemas. */
import { setupOrExit } from './setup.mjs';
import { runBuilt } from './lib/built.mjs';

await setupOrExit();
process.exitCode = await runBuilt('src/api/write-openapi.js', process.argv.slice(2));
