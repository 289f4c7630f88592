/** `npm run test:interop`: says what is missing, or runs every interop test. Arguments go to vitest. */
import { spawnSync } from 'node:child_process';
import { missingRequirements } from './requirements.mjs';

const missing = missingRequirements();
if (missing.length > 0) {
  console.error('The interop tests cannot run here. Missing:');
  for (const item of missing) console.error(`  - ${item}`);
  process.exit(1);
}
const vitest = new URL('../../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--config', 'vitest.interop.config.ts', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
