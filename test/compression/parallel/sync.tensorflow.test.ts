import { syncSuite } from './sync-suite.ts';

syncSuite('tensorflow', ['memory', 'stream']);
