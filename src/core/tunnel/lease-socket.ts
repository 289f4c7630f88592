/**
 * Gives the port-forward lease its UDP socket: one of the tunnel's own stack, with a fresh random port for each round of questions
 * and closed in between, so that nothing can arrive while nothing is asked.
 */

import type { Instant } from '../base/instant.ts';
import { Queue } from '../base/queue.ts';
import type { SocketEvent, SocketId } from '../netstack/messages.ts';
import type { LeaseEvent, LeaseOutput, PortLease } from '../portmap/messages.ts';
import { CLAIMABLE_FROM, type VirtualHost } from './virtual-host.ts';

export class LeaseSocket {
  readonly #host: VirtualHost;
  readonly #lease: PortLease;
  readonly #events: Queue<LeaseEvent> = new Queue();
  #socket: SocketId | undefined;
  #opened = 0;

  constructor(host: VirtualHost, lease: PortLease) {
    this.#host = host;
    this.#lease = lease;
  }

  /** Carries out what the lease has to say. To be called after anything that the lease or the host was told. */
  settle(now: Instant): void {
    for (let output = this.#lease.nextOutput(); output; output = this.#lease.nextOutput()) {
      if (output.kind === 'send') this.#send(output, now);
      else this.#events.push(output);
    }
    if (!this.#lease.asking && this.#socket !== undefined) this.#close(this.#socket, now);
  }

  nextOutput(): LeaseEvent | undefined {
    return this.#events.shift();
  }

  #send({ bytes, to }: Extract<LeaseOutput, { readonly kind: 'send' }>, now: Instant): void {
    if (this.#socket === undefined) {
      this.#socket = CLAIMABLE_FROM + this.#opened++;
      this.#host.claim(this.#socket, (event, at) => this.#handleEvent(event, at));
      const { family } = to.address;
      this.#host.handleCommand({ kind: 'udp-bind', socket: this.#socket, family, port: 0 }, now);
    }
    this.#host.handleCommand({ kind: 'udp-send', socket: this.#socket, bytes, to }, now);
  }

  #handleEvent(event: SocketEvent, now: Instant): void {
    if (event.kind === 'udp-datagram') this.#lease.handleDatagram(event.bytes, event.from, now);
  }

  #close(socket: SocketId, now: Instant): void {
    this.#socket = undefined;
    this.#host.release(socket);
    this.#host.handleCommand({ kind: 'close', socket }, now);
  }
}
