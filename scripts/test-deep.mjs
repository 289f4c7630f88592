/**
 * `npm run test:deep`: the whole simulations and fuzz counts, then one line for docs/assurance.md (commit, date, duration).
 * Arguments go to vitest, so a part may be run alone.
 */
import { execFileSync, spawnSync } from 'node:child_process';

const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const started = Date.now();
const { status } = spawnSync(
  process.execPath,
  [vitest, 'run', '--config', 'vitest.config.ts', '--testTimeout=3600000', ...process.argv.slice(2)],
  { stdio: 'inherit', env: { ...process.env, SLUICE_DEEP: '1' } },
);
const minutes = ((Date.now() - started) / 60_000).toFixed(1);
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
console.log(
  `deep run: ${status === 0 ? 'passed' : 'FAILED'}, commit ${commit}, ${new Date().toISOString().slice(0, 10)}, ${minutes} min, Node ${process.version}`,
);
process.exit(status ?? 1);
