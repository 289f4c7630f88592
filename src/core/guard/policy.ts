/**
 * What follows from the reasons why traffic is held back, as tables: what may flow, what torrent clients do, the word in the
 * status and the answer of /readyz. Pure functions of the set; `guard.ts` keeps the set.
 */

/**
 * `starting`: no handshake yet since the tunnel was opened, or since its server or key changed. `stale`: the latest handshake is too
 * old, or the server is silent. `leak`: the exit address was seen to be another than the VPN's. `user`: a person switched the VPN off.
 */
export type GuardReason = 'starting' | 'stale' | 'leak' | 'user';

/** In the order in which they are told. */
export const GUARD_REASONS: readonly GuardReason[] = ['user', 'leak', 'starting', 'stale'];

/**
 * `open`: everything. `hold`: what is open stays open, new sockets wait and then fail. `probe`: nothing but the probe.
 * `closed`: nothing.
 */
export type Flow = 'open' | 'hold' | 'probe' | 'closed';

/** `run`: those that the killswitch paused resume. `pause`: all that run are paused. `leave`: none is touched. */
export type ClientOrder = 'run' | 'leave' | 'pause';

/** The words of the status snapshot. */
export type GuardState = 'disabled' | 'connecting' | 'connected' | 'degraded' | 'reconnecting' | 'blocked' | 'error';

/** What one reason alone brings about. */
export interface Effect {
  readonly flow: Flow;
  readonly clients: ClientOrder;
}

/** Mildest first: of several effects the strictest counts. */
const FLOWS: readonly Flow[] = ['open', 'hold', 'probe', 'closed'];
const ORDERS: readonly ClientOrder[] = ['run', 'leave', 'pause'];

/** The table of the design; docs/protocol/guard.md shows it with its tests. */
export const EFFECTS: Readonly<Record<'on' | 'off', Readonly<Record<GuardReason, Effect>>>> = {
  on: {
    starting: { flow: 'closed', clients: 'leave' },
    stale: { flow: 'hold', clients: 'pause' },
    leak: { flow: 'probe', clients: 'pause' },
    user: { flow: 'closed', clients: 'pause' },
  },
  off: {
    starting: { flow: 'closed', clients: 'leave' },
    stale: { flow: 'open', clients: 'leave' },
    leak: { flow: 'open', clients: 'leave' },
    user: { flow: 'closed', clients: 'leave' },
  },
};

/** The strictest effect of all reasons. With the killswitch off, transfers are not touched; they resume when no reason is left. */
export function effectOf(reasons: Iterable<GuardReason>, killswitch: boolean): Effect {
  let flow = 0;
  let clients = 0;
  for (const reason of reasons) {
    const effect = EFFECTS[killswitch ? 'on' : 'off'][reason];
    flow = Math.max(flow, FLOWS.indexOf(effect.flow));
    clients = Math.max(clients, ORDERS.indexOf(effect.clients));
  }
  return { flow: FLOWS[flow]!, clients: ORDERS[clients]! };
}

/** What the state depends on, beside the reasons. */
export interface Condition {
  readonly reasons: ReadonlySet<GuardReason>;
  readonly killswitch: boolean;
  /** Whether there was a handshake since the tunnel was opened: before, it connects, after, it reconnects. */
  readonly connectedBefore: boolean;
  /** A session exists, but something is wrong with it: an initiation unanswered for 15 s, or a second holder of the key. */
  readonly impaired: boolean;
  /** Nothing can be established before a person acts: the wrong date, no server configured. */
  readonly helpless: boolean;
}

/** The first line that holds is the state. */
export function stateOf({ reasons, killswitch, connectedBefore, impaired, helpless }: Condition): GuardState {
  const down = reasons.has('starting') || reasons.has('stale');
  if (reasons.has('user')) return 'disabled';
  if (helpless && down) return 'error';
  if (reasons.has('leak') && killswitch) return 'blocked';
  if (down) return connectedBefore ? 'reconnecting' : 'connecting';
  return impaired || reasons.has('leak') ? 'degraded' : 'connected';
}

/** Whether /readyz answers 200: in these states traffic may flow, and arrives. */
export const READY: Readonly<Record<GuardState, boolean>> = {
  disabled: false,
  connecting: false,
  connected: true,
  degraded: true,
  reconnecting: false,
  blocked: false,
  error: false,
};
