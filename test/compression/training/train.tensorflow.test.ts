import { trainingSuite } from './suite.ts';

trainingSuite('tensorflow');
