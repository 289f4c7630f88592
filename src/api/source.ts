/** What the API serves: a tunnel's facts, its events, and the two things that a person may ask of it. */

import type { EventEmitter } from 'node:events';
import type { Tunnel } from '../node/tunnel.ts';
import type { TunnelEvents } from '../node/tunnel-options.ts';

/** A `Tunnel`, or whatever stands in for one while there is none. */
export type ApiSource = Pick<Tunnel, 'status' | 'probe' | 'acceptExit'> & EventEmitter<TunnelEvents>;

/** Every event of a tunnel; the type sees that none is missing. */
const EVENTS: Readonly<Record<keyof TunnelEvents, true>> = {
  state: true,
  handshake: true,
  'endpoint.changed': true,
  'mtu.changed': true,
  'killswitch.engaged': true,
  'killswitch.released': true,
  probe: true,
  'port.mapped': true,
  'port.lost': true,
  'client.paused': true,
  'client.resumed': true,
  'client.port': true,
};

export const EVENT_NAMES = Object.keys(EVENTS) as readonly (keyof TunnelEvents)[];
