/** The NAT-PMP gateway on its UDP port (RFC 6886 §3.1), and the address that a lying gateway answers from. */

import { after, type Instant } from '../core/base/instant.ts';
import type { SocketAddress, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { NATPMP_PORT } from '../core/wire/natpmp.ts';
import { DelayQueue } from './delay-queue.ts';
import type { NatPmpGateway } from './natpmp-gateway.ts';
import type { Post, Service } from './service.ts';

const SOCKET: SocketId = NATPMP_PORT;
const MAX_WAITING = 4096;

interface Answer {
  readonly bytes: Uint8Array;
  readonly to: SocketAddress;
}

export class NatPmpServer implements Service {
  readonly #post: Post;
  readonly #postImpostor: Post;
  readonly #gateway: NatPmpGateway;
  readonly #waiting: DelayQueue<Answer> = new DelayQueue();
  #listening = false;

  /** `postImpostor` reaches a host of its own, whose address clients have no reason to believe. */
  constructor(post: Post, postImpostor: Post, gateway: NatPmpGateway, now: Instant) {
    this.#post = post;
    this.#postImpostor = postImpostor;
    this.#gateway = gateway;
    postImpostor({ kind: 'udp-bind', socket: SOCKET, family: 4, port: NATPMP_PORT }, now);
    this.obey(now);
  }

  /** Opens or closes the port as `switches.enabled` says. Closed, the host answers requests with an ICMP port unreachable. */
  obey(now: Instant): void {
    const on = this.#gateway.switches.enabled;
    if (on === this.#listening) return;
    this.#listening = on;
    if (on) this.#post({ kind: 'udp-bind', socket: SOCKET, family: 4, port: NATPMP_PORT }, now);
    else this.#post({ kind: 'close', socket: SOCKET }, now);
  }

  handleEvent(event: SocketEvent, now: Instant): void {
    if (event.kind !== 'udp-datagram' || event.socket !== SOCKET) return;
    const bytes = this.#gateway.handleRequest(event.bytes, event.from.address, now);
    if (!bytes || this.#waiting.length >= MAX_WAITING) return;
    if (this.#gateway.switches.delayMs > 0)
      this.#waiting.push({ bytes, to: event.from }, after(now, this.#gateway.switches.delayMs));
    else this.#send({ bytes, to: event.from }, now);
  }

  handleTimeout(now: Instant): void {
    for (let answer = this.#waiting.take(now); answer; answer = this.#waiting.take(now)) this.#send(answer, now);
  }

  nextTimeout(): Instant | undefined {
    return this.#waiting.nextTimeout();
  }

  #send({ bytes, to }: Answer, now: Instant): void {
    const post = this.#gateway.switches.lie === 'source' ? this.#postImpostor : this.#post;
    post({ kind: 'udp-send', socket: SOCKET, bytes, to }, now);
  }
}
