/** What sockets know of the engine. The same sockets run over an engine on this thread, behind a queue or on a worker. */

import type { SocketCommand, SocketEvent } from '../core/netstack/messages.ts';

/**
 * One subscriber. An engine delivers events in order, never from within `post`; what the subscriber throws is not the engine's to
 * handle, so the subscriber does not throw.
 */
export interface EnginePort {
  /**
   * Takes one command, in order. The bytes of a write or a datagram are not looked at after `post` returns: an engine that works
   * later copies them, because their owner may reuse them at once (as node:net allows after the write callback).
   */
  post(command: SocketCommand): void;
  onEvent: (event: SocketEvent) => void;
}
