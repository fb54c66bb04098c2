import { syncSuite } from './sync-suite.ts';

syncSuite('tensorflow', [['mlp', true]]);
