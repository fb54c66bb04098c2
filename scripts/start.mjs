/** `npm start`: set-up, then the launcher in this very process, so that signals reach it. */
import { setupOrExit } from './setup.mjs';
import { importBuilt } from './lib/built.mjs';

await setupOrExit();
const { launch } = await importBuilt('bundle/workers/launcher.js');
await launch();
