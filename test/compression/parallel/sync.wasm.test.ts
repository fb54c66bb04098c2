import { syncSuite } from './sync-suite.ts';

syncSuite('wasm', ['stream']);
