/** On which thread the engine runs (docs/decisions/0011-engine.md). */

import { SluiceError } from '../core/base/errors.ts';
import type { Engine, EngineDescription } from './engine.ts';
import { InlineEngine } from './inline-engine.ts';
import { selectUdp } from './udp/select.ts';
import { WorkerEngine } from './worker/worker-engine.ts';

export const ENGINE_NAMES = ['inline', 'worker'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/**
 * `name`, else SLUICE_ENGINE, else the default: on a worker, unless datagrams come through node:dgram, which costs more there, or no thread can
 * be started. Throws RangeError for an unknown `name`, `ERR_CONFIG_VALUE` for an unknown SLUICE_ENGINE, and what the engine's `open` throws.
 */
export async function openEngine(name: EngineName | undefined, describe: () => EngineDescription): Promise<Engine> {
  const asked = nameOf(name);
  if (asked === 'worker') return WorkerEngine.open(describe);
  const description = describe();
  if (asked === undefined && selectUdp({ prefer: description.udp })) {
    try {
      return await WorkerEngine.open(describe);
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'ERR_ENGINE')) throw error;
    }
  }
  return InlineEngine.open(description);
}

function nameOf(name: EngineName | undefined): EngineName | undefined {
  if (name !== undefined) {
    if (isName(name)) return name;
    throw new RangeError(`"engine" expected ${ENGINE_NAMES.join(' or ')}, got ${String(name)}`);
  }
  const environment = process.env['SLUICE_ENGINE'];
  if (environment === undefined || environment === '') return undefined;
  if (isName(environment)) return environment;
  const message = `SLUICE_ENGINE expected ${ENGINE_NAMES.join(' or ')}, got ${JSON.stringify(environment)}.`;
  throw new SluiceError('ERR_CONFIG_VALUE', message);
}

function isName(name: string): name is EngineName {
  return ENGINE_NAMES.some((known) => known === name);
}
