import { trainingSuite } from './suite.ts';

trainingSuite('wasm');
