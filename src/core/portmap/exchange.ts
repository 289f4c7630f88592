/**
 * One request to the gateway, its retransmissions, and which answer is its own. RFC 6886 §3.1 waits 250 ms and doubles, nine times;
 * here an earlier end is given, since two minutes of patience would outlast a lease of one.
 */

import { after, earliest, type Instant } from '../base/instant.ts';
import {
  encodeNatPmpRequest,
  NATPMP_SUCCESS,
  NATPMP_UNSUPPORTED_VERSION,
  type NatPmpMapRequest,
  type NatPmpMapResponse,
  type NatPmpRequest,
  type NatPmpResponse,
} from '../wire/natpmp.ts';

const FIRST_INTERVAL_MS = 250;

export class Exchange {
  readonly request: NatPmpRequest;
  readonly bytes: Uint8Array;
  /** What the gateway grants is counted from here, the earliest moment it can have begun. */
  readonly startedAt: Instant;
  readonly #giveUpAt: Instant;
  #intervalMs = FIRST_INTERVAL_MS;
  #resendAt: Instant;

  /** The caller has sent `bytes` once. */
  constructor(request: NatPmpRequest, now: Instant, giveUpAt: Instant) {
    this.request = request;
    this.bytes = encodeNatPmpRequest(request);
    this.startedAt = now;
    this.#giveUpAt = giveUpAt;
    this.#resendAt = after(now, FIRST_INTERVAL_MS);
  }

  get deadline(): Instant {
    return earliest(this.#resendAt, this.#giveUpAt)!;
  }

  /** What is due now: `bytes` again, or nothing more. */
  handleTimeout(now: Instant): 'resend' | 'give-up' | undefined {
    if (now >= this.#giveUpAt) return 'give-up';
    if (now < this.#resendAt) return undefined;
    this.#intervalMs *= 2;
    this.#resendAt = after(now, this.#intervalMs);
    return 'resend';
  }

  /** Whether this is the answer: the operation and the internal port must be those asked about (§3.3). */
  isAnsweredBy(response: NatPmpResponse): boolean {
    const { request } = this;
    switch (response.kind) {
      case 'external-address':
        return request.kind === 'external-address';
      case 'map':
        return request.kind === 'map' && isAbout(request, response);
      case 'error':
        // A gateway that does not know the version answers without an operation: zero (§3.5).
        return (
          response.operation === this.bytes[1] ||
          (response.operation === 0 && response.result === NATPMP_UNSUPPORTED_VERSION)
        );
    }
  }
}

/** A late answer to a deletion must not be taken for that to the mapping that follows it, nor the reverse (§3.4). */
function isAbout(request: NatPmpMapRequest, response: NatPmpMapResponse): boolean {
  if (request.protocol !== response.protocol || request.internalPort !== response.internalPort) return false;
  if (response.result !== NATPMP_SUCCESS) return true;
  if (request.lifetimeSeconds === 0) return response.lifetimeSeconds === 0;
  return response.lifetimeSeconds !== 0 || response.externalPort !== 0;
}
