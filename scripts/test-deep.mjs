/**
 * `npm run test:deep`: the whole simulations and fuzz counts, then, where it can run, twenty rounds of the leak tests in namespaces, then
 * one line for docs/assurance.md (commit, date, duration). Arguments go to the first vitest, so a part may be run alone; then the
 * leak tests are left out (`SLUICE_DEEP=1 npm run test:interop -- leak` plays them).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { missingRequirements } from '../test/interop/requirements.mjs';

const vitest = new URL('../node_modules/vitest/vitest.mjs', import.meta.url).pathname;
const env = { ...process.env, SLUICE_DEEP: '1' };
const started = Date.now();
const parts = process.argv.slice(2);
const run = (...args) => spawnSync(process.execPath, [vitest, 'run', ...args], { stdio: 'inherit', env }).status;
let status = run('--config', 'vitest.config.ts', '--testTimeout=3600000', ...parts);
if (parts.length === 0) {
  const missing = missingRequirements();
  if (missing.length > 0) console.log(`The leak tests in namespaces are left out. Missing: ${missing.join(', ')}`);
  else status = run('--config', 'vitest.interop.config.ts', 'test/interop/leak-') || status;
}
const minutes = ((Date.now() - started) / 60_000).toFixed(1);
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
console.log(
  `deep run: ${status === 0 ? 'passed' : 'FAILED'}, commit ${commit}, ${new Date().toISOString().slice(0, 10)}, ${minutes} min, Node ${process.version}`,
);
process.exit(status ?? 1);
