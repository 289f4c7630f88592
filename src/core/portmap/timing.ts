/** When a lease is renewed, when it ends, and how long to wait after a failure. */

import type { Random } from '../base/crypto.ts';
import type { Instant } from '../base/instant.ts';
import { randomUnit } from '../base/random.ts';
import type { HeldGrant } from './grants.ts';

/** One round of questions; it ends with the lease, if that is earlier. */
export const ROUND_MS = 8_000;
/** All deletions together. */
export const RELEASE_MS = 1_000;

const DEFAULT_REFRESH_SECONDS = 45;
/** A renewal begins at this part of what was granted, if that is earlier. */
const RENEW_AT = 0.75;
/** Without a port: pauses between rounds, doubling, up to a fifth more or less. */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 60_000;
const JITTER = 0.2;
/** With a port whose renewal failed: pauses, doubling. Also the shortest pause between two rounds. */
const FIRST_RENEWAL_RETRY_MS = 250;
const LAST_RENEWAL_RETRY_MS = 4_000;

export interface LeaseTimes {
  readonly leaseSeconds: number;
  readonly expiresAt: Instant;
  readonly renewAt: Instant;
}

/** Of two mappings that count as one: whichever is shorter, or ends first, decides. */
export function leaseTimes(
  grants: readonly HeldGrant[],
  now: Instant,
  refreshSeconds: number = DEFAULT_REFRESH_SECONDS,
): LeaseTimes {
  const leaseSeconds = Math.min(...grants.map(({ seconds }) => seconds));
  const expiresAt = Math.min(...grants.map((grant) => grant.expiresAt)) as Instant;
  const renewInMs = Math.min(refreshSeconds, RENEW_AT * leaseSeconds) * 1000;
  const renewAt = Math.max(expiresAt - leaseSeconds * 1000 + renewInMs, now + FIRST_RENEWAL_RETRY_MS) as Instant;
  return { leaseSeconds, expiresAt, renewAt };
}

/** The pause after so many failures in a row while the port is held. */
export function renewalRetryMs(failures: number): number {
  return Math.min(FIRST_RENEWAL_RETRY_MS * 2 ** (failures - 1), LAST_RENEWAL_RETRY_MS);
}

/** The pause after so many failures in a row without a port. */
export function retryMs(failures: number, random: Random): number {
  const pauseMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
  return Math.round(pauseMs * (1 + JITTER * (2 * randomUnit(random) - 1)));
}
