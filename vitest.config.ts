import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**'],
    setupFiles: ['test/support/no-outside-sockets.ts'],
    pool: 'forks',
    // Many tests wait for real sockets; on two cores the default would be one worker.
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});
