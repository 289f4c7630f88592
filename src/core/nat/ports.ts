/** Choosing a public port: at random (RFC 6056 §3.3.1), so that nobody comes to rely on the port inside being kept. */

import type { Random } from '../base/crypto.ts';
import { randomU32 } from '../base/random.ts';

/** Ports below are the public host's own (RFC 4787 §4.2.1 keeps the ranges apart). */
export const FIRST_PORT = 1024;
const COUNT = 65_536 - FIRST_PORT;

/** A port that `free` accepts, or `undefined` if it accepts none. */
export function choosePort(random: Random, free: (port: number) => boolean): number | undefined {
  const start = randomU32(random) % COUNT;
  for (let i = 0; i < COUNT; i++) {
    const port = FIRST_PORT + ((start + i) % COUNT);
    if (free(port)) return port;
  }
  return undefined;
}
