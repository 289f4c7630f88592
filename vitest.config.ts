import { defineConfig } from 'vitest/config';

/** Tests of whole tunnels, which run once more with the engine on a worker, from the build. `SLUICE_ENGINE=worker` runs all of them there. */
const TUNNELS = [
  'test/node/{tunnel,killswitch,probe,port-forward}.test.ts',
  'test/sandbox/loopback.test.ts',
  'test/torrent/{sandbox,killswitch}.test.ts',
];

export default defineConfig({
  test: {
    setupFiles: ['test/support/no-outside-sockets.ts'],
    pool: 'forks',
    // Many tests wait for real sockets; on two cores the default would be one worker.
    maxWorkers: 2,
    testTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'inline',
          include: ['test/**/*.test.ts'],
          exclude: ['test/interop/**'],
          env: { SLUICE_ENGINE: process.env['SLUICE_ENGINE'] ?? 'inline' },
        },
      },
      { extends: true, test: { name: 'worker', include: TUNNELS, env: { SLUICE_ENGINE: 'worker' } } },
    ],
  },
});
