/** Which UDP port runs: the fast one, on system calls by FFI, where it passes its self-test; else the one on node:dgram, which runs everywhere. */

import { SluiceError } from '../../core/base/errors.ts';
import { type OpenUdpPort, openDgramPort } from '../udp-port.ts';
import { type Libc, loadLibc } from './ffi.ts';
import { selfTest } from './self-test.ts';
import { watchedPorts } from './watched-port.ts';

export const UDP_NAMES = ['ffi', 'dgram'] as const;
export type UdpName = (typeof UDP_NAMES)[number];

export interface SelectUdpOptions {
  /** Takes this one or fails. The environment variable SLUICE_UDP does the same. */
  readonly prefer?: UdpName | undefined;
  /** Called if the fast port was passed over. */
  readonly onSkipped?: (skipped: SkippedUdp) => void;
}

export interface SkippedUdp {
  /** `absent`: another system, the optional package is not there, or it does not load. */
  readonly reason: 'absent' | 'self-test-failed';
  /** What went wrong, for the log. */
  readonly message: string;
}

/**
 * What the fast ports are opened with (`Poller`, `watchedPorts`), or undefined: take `openDgramPort`. Throws RangeError for an unknown
 * `prefer`, `ERR_CONFIG_VALUE` for an unknown SLUICE_UDP, and `ERR_UDP_PORT` if the fast port was asked for and does not work here.
 */
export function selectUdp(options: SelectUdpOptions = {}): Libc | undefined {
  return selectFrom(examined, options, process.env['SLUICE_UDP']);
}

/** As `selectUdp`, for a thread with an event loop. */
export function selectUdpPorts(options: SelectUdpOptions = {}): OpenUdpPort {
  const libc = selectUdp(options);
  return libc ? watchedPorts(libc) : openDgramPort;
}

/** As `selectUdp` with another examination and environment: for tests. */
export function selectFrom(
  examine: () => Examined,
  { prefer, onSkipped }: SelectUdpOptions,
  environment?: string,
): Libc | undefined {
  const asked = nameOf(prefer, environment);
  if (asked === 'dgram') return undefined;
  const result = examine();
  if ('libc' in result) return result.libc;
  onSkipped?.(result);
  if (asked === undefined) return undefined;
  throw new SluiceError('ERR_UDP_PORT', `The UDP port on system calls does not work here: ${result.message}.`, {
    hint: 'Leave the choice of the UDP port out: node:dgram is taken then.',
  });
}

export type Examined = { readonly libc: Libc } | SkippedUdp;

/** Loads and tests: the result for this thread does not change. */
export function examine(load: () => Libc = loadLibc): Examined {
  let libc: Libc;
  try {
    libc = load();
  } catch (error) {
    return { reason: 'absent', message: (error as Error).message.split('\n', 1)[0]! };
  }
  const problem = selfTest(libc);
  return problem === undefined ? { libc } : { reason: 'self-test-failed', message: problem };
}

let known: Examined | undefined;
function examined(): Examined {
  known ??= examine();
  return known;
}

function nameOf(prefer: UdpName | undefined, environment: string | undefined): UdpName | undefined {
  const isName = (name: string): name is UdpName => UDP_NAMES.some((known) => known === name);
  if (prefer !== undefined) {
    if (!isName(prefer)) throw new RangeError(`"udp" expected ${UDP_NAMES.join(' or ')}, got ${String(prefer)}`);
    return prefer;
  }
  if (environment === undefined || environment === '') return undefined;
  if (isName(environment)) return environment;
  const message = `SLUICE_UDP expected ${UDP_NAMES.join(' or ')}, got ${JSON.stringify(environment)}.`;
  throw new SluiceError('ERR_CONFIG_VALUE', message);
}
