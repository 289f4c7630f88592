/**
 * A web server that tells each caller the address it is seen from, as services on the real internet do: `GET /` as plain text,
 * `GET /json`, `GET /?format=json` or an Accept of application/json as `{"ip":"…"}`. One request on each connection (RFC 9112).
 */

import { formatIp } from '../core/base/address.ts';
import { ascii } from '../core/base/bytes.ts';
import { after, earliest, type Instant } from '../core/base/instant.ts';
import type { SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { respond } from './http-response.ts';
import type { Post, Service } from './service.ts';

const LISTENER: SocketId = 80;
const MAX_CONNECTIONS = 256;
const MAX_REQUEST_LENGTH = 8192;
/** A caller that has not finished its request by then is hung up on. */
const REQUEST_TIMEOUT_MS = 10_000;

interface Connection {
  readonly caller: string;
  readonly deadline: Instant;
  /** As far as it has arrived; `undefined` once it is answered. */
  request: string | undefined;
}

export class ExitEcho implements Service {
  /** What everyone is told instead of the truth. */
  lie: string | undefined;
  /** Accepts connections but answers nothing. */
  silent = false;
  readonly #post: Post;
  readonly #connections: Map<SocketId, Connection> = new Map();

  constructor(post: Post, now: Instant) {
    this.#post = post;
    post({ kind: 'tcp-listen', socket: LISTENER, port: 80, backlog: MAX_CONNECTIONS }, now);
  }

  handleEvent(event: SocketEvent, now: Instant): void {
    switch (event.kind) {
      case 'tcp-accepted':
        if (event.listener === LISTENER) this.#accept(event.socket, formatIp(event.remote.address), now);
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
    for (const [socket, { deadline }] of this.#connections)
      if (deadline <= now) {
        this.#connections.delete(socket);
        this.#post({ kind: 'tcp-abort', socket }, now);
      }
  }

  nextTimeout(): Instant | undefined {
    let next: Instant | undefined;
    for (const { deadline } of this.#connections.values()) next = earliest(next, deadline);
    return next;
  }

  #accept(socket: SocketId, caller: string, now: Instant): void {
    if (this.#connections.size < MAX_CONNECTIONS)
      this.#connections.set(socket, { caller, deadline: after(now, REQUEST_TIMEOUT_MS), request: '' });
    else this.#post({ kind: 'tcp-abort', socket }, now);
  }

  #read(socket: SocketId, bytes: Uint8Array, now: Instant): void {
    const connection = this.#connections.get(socket);
    if (!connection) return;
    this.#post({ kind: 'tcp-credit', socket, bytes: bytes.length }, now);
    if (connection.request === undefined || this.silent) return;
    for (let i = 0; i < bytes.length; i++) connection.request += String.fromCharCode(bytes[i]!);
    const tooLong = connection.request.length > MAX_REQUEST_LENGTH;
    if (!tooLong && !connection.request.includes('\r\n\r\n')) return;
    const reply = tooLong ? respond(431, 'text/plain', '') : this.#reply(connection.request, connection.caller);
    connection.request = undefined;
    this.#post({ kind: 'tcp-write', socket, bytes: ascii(reply) }, now);
    this.#post({ kind: 'tcp-shutdown', socket }, now);
  }

  #reply(request: string, caller: string): string {
    const [, method, target = ''] = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r\n/.exec(request) ?? [];
    if (method === undefined) return respond(400, 'text/plain', '');
    if (method !== 'GET' && method !== 'HEAD') return respond(405, 'text/plain', '');
    const ip = this.lie ?? caller;
    const json = /^\/json\b|[?&]format=json\b/.test(target) || /\r\naccept:[^\r]*application\/json/i.test(request);
    const reply = json ? respond(200, 'application/json', JSON.stringify({ ip })) : respond(200, 'text/plain', ip);
    return method === 'HEAD' ? reply.slice(0, reply.indexOf('\r\n\r\n') + 4) : reply;
  }
}
