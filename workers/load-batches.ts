/** A thread of the data loader, started by its pool (src/compression/data/loader/worker-pool.ts). */
export { makeBatch as default } from '../src/compression/data/loader/worker.ts';
