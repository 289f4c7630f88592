/**
 * The states of a connection as a table (RFC 9293 §3.3.2, figure 5). Everything that moves a connection from one state to another
 * is an event of this file; what a state permits is a row of `STATES`. LISTEN is a listener (`listener.ts`) and TIME-WAIT a record
 * in a compact table (`time-wait.ts`), so neither is a state of a connection object.
 */

export type State =
  | 'syn-sent'
  | 'syn-received'
  | 'established'
  | 'fin-wait-1'
  | 'fin-wait-2'
  | 'close-wait'
  | 'closing'
  | 'last-ack'
  | 'time-wait'
  | 'closed';

export type StateEvent =
  /** A SYN that acknowledges ours. */
  | 'receive-syn-ack'
  /** A SYN that does not: both ends opened at once (§3.5, figure 8). */
  | 'receive-syn'
  | 'syn-acknowledged'
  | 'receive-fin'
  /** The embedder has no more to write and our FIN takes its place in the stream. */
  | 'shutdown'
  | 'fin-acknowledged'
  | 'abort';

export interface StateRow {
  /** Both SYNs are acknowledged (§3.3.2: a "synchronized" state). */
  readonly synchronized: boolean;
  /** New stream bytes may come from the peer. */
  readonly receives: boolean;
  /** Stream bytes, or a FIN behind them, may go out or be sent again. */
  readonly sends: boolean;
  readonly on: { readonly [event in StateEvent]?: State };
}

export const STATES: { readonly [state in State]: StateRow } = {
  'syn-sent': {
    synchronized: false,
    receives: false,
    sends: false,
    on: { 'receive-syn-ack': 'established', 'receive-syn': 'syn-received', abort: 'closed' },
  },
  'syn-received': {
    synchronized: false,
    receives: false,
    sends: false,
    on: { 'syn-acknowledged': 'established', abort: 'closed' },
  },
  established: {
    synchronized: true,
    receives: true,
    sends: true,
    on: { shutdown: 'fin-wait-1', 'receive-fin': 'close-wait', abort: 'closed' },
  },
  'fin-wait-1': {
    synchronized: true,
    receives: true,
    sends: true,
    on: { 'fin-acknowledged': 'fin-wait-2', 'receive-fin': 'closing', abort: 'closed' },
  },
  'fin-wait-2': {
    synchronized: true,
    receives: true,
    sends: false,
    on: { 'receive-fin': 'time-wait', abort: 'closed' },
  },
  'close-wait': {
    synchronized: true,
    receives: false,
    sends: true,
    on: { shutdown: 'last-ack', abort: 'closed' },
  },
  closing: {
    synchronized: true,
    receives: false,
    sends: true,
    on: { 'fin-acknowledged': 'time-wait', abort: 'closed' },
  },
  'last-ack': {
    synchronized: true,
    receives: false,
    sends: true,
    on: { 'fin-acknowledged': 'closed', abort: 'closed' },
  },
  'time-wait': { synchronized: true, receives: false, sends: false, on: {} },
  closed: { synchronized: false, receives: false, sends: false, on: {} },
};

/** The state that `event` leads to. An event that a state does not know leaves it as it is. */
export function nextState(state: State, event: StateEvent): State {
  return STATES[state].on[event] ?? state;
}
