import type { TunnelState } from '../../src/node/status.ts';

/** Every state, with the status code of /readyz. */
export const GUARD_STATES: readonly (readonly [TunnelState, number])[] = [
  ['disabled', 503],
  ['connecting', 503],
  ['connected', 200],
  ['degraded', 200],
  ['reconnecting', 503],
  ['blocked', 503],
  ['error', 503],
];
