import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { FlowsFirst } from './test/support/flows-first.ts';

/** One more than there are cores, since flow tests mostly wait; an engine each takes up to 2 GB. */
const MAX_WORKERS = 4;

export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: Math.min(MAX_WORKERS, availableParallelism() + 1),
    sequence: { sequencer: FlowsFirst },
    include: ['src/**/*.test.ts', 'workers/**/*.test.ts', 'test/**/*.test.ts', 'clients/**/*.test.ts'],
    // Ends what hangs, on the busiest machine too; what must be fast is asserted where it must.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    globalSetup: 'test/support/build.ts',
  },
});
