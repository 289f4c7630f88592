/** On which thread the engine runs (docs/decisions/0011-engine.md). */

import { SluiceError } from '../core/base/errors.ts';
import type { Engine, EngineDescription } from './engine.ts';
import { InlineEngine } from './inline-engine.ts';
import { WorkerEngine } from './worker/worker-engine.ts';

export const ENGINE_NAMES = ['inline', 'worker'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Throws RangeError for an unknown `name`, `ERR_CONFIG_VALUE` for an unknown SLUICE_ENGINE, and what the engine's own `open` throws. */
export function openEngine(name: EngineName | undefined, describe: () => EngineDescription): Promise<Engine> {
  return choose(name) === 'worker' ? WorkerEngine.open(describe) : InlineEngine.open(describe());
}

function choose(name: EngineName | undefined): EngineName {
  if (name !== undefined) {
    if (isName(name)) return name;
    throw new RangeError(`"engine" expected ${ENGINE_NAMES.join(' or ')}, got ${String(name)}`);
  }
  const environment = process.env['SLUICE_ENGINE'];
  if (environment === undefined || environment === '') return 'inline';
  if (isName(environment)) return environment;
  const message = `SLUICE_ENGINE expected ${ENGINE_NAMES.join(' or ')}, got ${JSON.stringify(environment)}.`;
  throw new SluiceError('ERR_CONFIG_VALUE', message);
}

function isName(name: string): name is EngineName {
  return ENGINE_NAMES.some((known) => known === name);
}
