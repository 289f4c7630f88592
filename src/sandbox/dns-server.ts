/** A zone served over UDP and TCP (RFC 1035 §4.2) on port 53 of every address of its host. */

import { concat, setU16be, u16be } from '../core/base/bytes.ts';
import { after, type Instant } from '../core/base/instant.ts';
import type { SocketAddress, SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { DNS_PORT } from '../core/wire/dns.ts';
import { DelayQueue } from './delay-queue.ts';
import type { DnsZone } from './dns-zone.ts';
import type { Post, Service } from './service.ts';

const UDP_V4: SocketId = 53_004;
const UDP_V6: SocketId = 53_006;
const LISTENER: SocketId = 53_000;
const MAX_CONNECTIONS = 256;
/** Answers that wait for `delayMs`. */
const MAX_WAITING = 4096;

interface Answer {
  readonly socket: SocketId;
  readonly bytes: Uint8Array;
  /** Absent for a connection. */
  readonly to?: SocketAddress;
}

export class DnsServer implements Service {
  readonly #post: Post;
  readonly #zone: DnsZone;
  /** What each connection has sent of a query that is not whole yet. */
  readonly #connections: Map<SocketId, Uint8Array> = new Map();
  readonly #waiting: DelayQueue<Answer> = new DelayQueue();

  constructor(post: Post, zone: DnsZone, now: Instant) {
    this.#post = post;
    this.#zone = zone;
    post({ kind: 'udp-bind', socket: UDP_V4, family: 4, port: DNS_PORT }, now);
    post({ kind: 'udp-bind', socket: UDP_V6, family: 6, port: DNS_PORT }, now);
    post({ kind: 'tcp-listen', socket: LISTENER, port: DNS_PORT, backlog: MAX_CONNECTIONS }, now);
  }

  handleEvent(event: SocketEvent, now: Instant): void {
    switch (event.kind) {
      case 'udp-datagram':
        if (event.socket === UDP_V4 || event.socket === UDP_V6)
          this.#answer(this.#zone.answer(event.bytes, 'udp'), { socket: event.socket, to: event.from }, now);
        break;
      case 'tcp-accepted':
        if (event.listener !== LISTENER) break;
        if (this.#connections.size < MAX_CONNECTIONS) this.#connections.set(event.socket, new Uint8Array(0));
        else this.#post({ kind: 'tcp-abort', socket: event.socket }, now);
        break;
      case 'tcp-data':
        this.#read(event.socket, event.bytes, now);
        break;
      case 'tcp-end':
        if (this.#connections.has(event.socket)) this.#post({ kind: 'tcp-shutdown', socket: event.socket }, now);
        break;
      case 'closed':
        this.#connections.delete(event.socket);
        break;
    }
  }

  handleTimeout(now: Instant): void {
    for (let answer = this.#waiting.take(now); answer; answer = this.#waiting.take(now)) this.#send(answer, now);
  }

  nextTimeout(): Instant | undefined {
    return this.#waiting.nextTimeout();
  }

  /** Queries behind their lengths (§4.2.2), in pieces of any size. */
  #read(socket: SocketId, bytes: Uint8Array, now: Instant): void {
    const before = this.#connections.get(socket);
    if (!before) return;
    this.#post({ kind: 'tcp-credit', socket, bytes: bytes.length }, now);
    let rest = concat(before, bytes);
    while (rest.length >= 2 && rest.length >= 2 + u16be(rest, 0)) {
      const end = 2 + u16be(rest, 0);
      const reply = this.#zone.answer(rest.subarray(2, end), 'tcp');
      if (reply) this.#answer(concat(lengthOf(reply), reply), { socket }, now);
      rest = rest.slice(end);
    }
    this.#connections.set(socket, rest);
  }

  #answer(bytes: Uint8Array | undefined, target: Omit<Answer, 'bytes'>, now: Instant): void {
    if (!bytes || this.#waiting.length >= MAX_WAITING) return;
    if (this.#zone.delayMs > 0) this.#waiting.push({ ...target, bytes }, after(now, this.#zone.delayMs));
    else this.#send({ ...target, bytes }, now);
  }

  #send({ socket, bytes, to }: Answer, now: Instant): void {
    if (to) this.#post({ kind: 'udp-send', socket, bytes, to }, now);
    else if (this.#connections.has(socket)) this.#post({ kind: 'tcp-write', socket, bytes }, now);
  }
}

function lengthOf(reply: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(2);
  setU16be(bytes, 0, reply.length);
  return bytes;
}
