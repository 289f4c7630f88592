import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They take minutes, nearly all of them waiting. Begun last, they would make everybody wait. */
const LONG = ['bench', 'rekey', 'vanished-peer', 'leak-download', 'leak-servers', 'leak-host'];

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification): number => {
      const index = LONG.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`));
      return index === -1 ? LONG.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => place(a) - place(b));
  }
}

/** Real peers in namespaces. Files run side by side: each makes namespaces of its own and mostly waits. */
export default defineConfig({
  test: {
    include: ['test/interop/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 4,
    sequence: { sequencer: LongFirst },
    testTimeout: process.env['SLUICE_DEEP'] === '1' ? 900_000 : 120_000,
    hookTimeout: 60_000,
  },
});
