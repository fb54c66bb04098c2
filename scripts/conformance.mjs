/** `npm run conformance -- DIR...`: the ONNX test cases found under the folders, in the training engine. */
import { setupOrExit } from './setup.mjs';
import { runBuilt } from './lib/built.mjs';

await setupOrExit();
process.exitCode = await runBuilt('workers/conformance.js', process.argv.slice(2));
