import { defineConfig } from 'vitest/config';

/** Real peers in namespaces. Files run side by side: each makes namespaces of its own and mostly waits. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
