/** The fast UDP ports, if this machine has them; if not, that is said loudly and their tests are not run. */

import type { Libc } from '../../src/node/udp/ffi.ts';
import { examine } from '../../src/node/udp/select.ts';

export const libc: Libc | undefined = load();

function load(): Libc | undefined {
  const result = examine();
  if ('libc' in result) return result.libc;
  console.warn(`SKIPPED: fast UDP ports: ${result.message}`);
  return undefined;
}
