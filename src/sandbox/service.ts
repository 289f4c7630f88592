/** A server on a virtual host, written on socket commands and events so that it runs in virtual time like the rest of the machine. */

import type { Instant } from '../core/base/instant.ts';
import type { SocketCommand, SocketEvent } from '../core/netstack/messages.ts';

/** Gives a command to the service's host. */
export type Post = (command: SocketCommand, now: Instant) => void;

export interface Service {
  /** An event of the host's sockets; those of other services are ignored. */
  handleEvent(event: SocketEvent, now: Instant): void;
  handleTimeout(now: Instant): void;
  nextTimeout(): Instant | undefined;
}
