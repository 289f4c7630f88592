/**
 * Segments that belong to no connection, waiting to be sent: RST for what nobody knows (RFC 9293 §3.10.7.1) and for aborts, and
 * acknowledgements from TIME-WAIT. The queue is bounded; under a flood the rest is not answered.
 */

import type { Instant } from '../../base/instant.ts';
import { Queue } from '../../base/queue.ts';
import { ACK, RST } from '../../wire/tcp.ts';
import type { Connection } from './connection.ts';

const CAPACITY = 256;

export interface Reply {
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly localPort: number;
  readonly remotePort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  readonly flags: number;
  readonly window: number;
  /** Absent: without the option. */
  readonly timestamps?: { readonly value: number; readonly echo: number };
}

export class Replies {
  readonly #queue: Queue<Reply> = new Queue(CAPACITY);

  /** False if too many are waiting. */
  push(reply: Reply): boolean {
    return this.#queue.push(reply);
  }

  get empty(): boolean {
    return this.#queue.length === 0;
  }

  shift(): Reply | undefined {
    return this.#queue.shift();
  }

  clear(): void {
    this.#queue.clear();
  }
}

/** The RST that ends a connection of which the peer knows (RFC 9293 §3.10.5). */
export function resetOf(c: Connection): Reply {
  return { ...identityOf(c), flags: RST | ACK, window: 0 };
}

/** The acknowledgement of the peer's FIN, for when the connection itself is gone. */
export function lastAckOf(c: Connection, window: number, now: Instant): Reply {
  const reply = { ...identityOf(c), flags: ACK, window };
  if (!c.timestamps) return reply;
  return { ...reply, timestamps: { value: c.clock(now), echo: c.timestampRecent } };
}

function identityOf(c: Connection): Omit<Reply, 'flags' | 'window'> {
  const { local, remote, localPort, remotePort, sender, receiver } = c;
  return { local, remote, localPort, remotePort, sequence: sender.next, acknowledgement: receiver.next };
}
