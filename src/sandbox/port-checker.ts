/**
 * A web server that dials its caller back, as port checkers on the real internet do: `GET /PORT` or `GET /?port=PORT` connects to that
 * port of the address that the caller is seen by, and answers `open` or `closed`; with an Accept of application/json as
 * `{"ip":"…","port":…,"reachable":…}`. One request on each connection (RFC 9112).
 */

import { formatIp, type IpAddress } from '../core/base/address.ts';
import { ascii } from '../core/base/bytes.ts';
import { after, earliest, type Instant } from '../core/base/instant.ts';
import type { SocketEvent, SocketId } from '../core/netstack/messages.ts';
import { respond } from './http-response.ts';
import type { Post, Service } from './service.ts';

const LISTENER: SocketId = 80;
const FIRST_DIAL: SocketId = 1_000;
const MAX_CALLERS = 256;
const MAX_REQUEST_LENGTH = 8192;
/** A caller that has not finished its request by then, or does not take its answer, is hung up on. */
const REQUEST_TIMEOUT_MS = 10_000;
/** A port that has not answered by then is closed. */
const DIAL_TIMEOUT_MS = 2_000;

interface Caller {
  readonly socket: SocketId;
  readonly address: IpAddress;
  deadline: Instant;
  /** As far as it has arrived; `undefined` once it is read. */
  request: string | undefined;
  /** What is asked about, while it is dialled. */
  check: { readonly dial: SocketId; readonly port: number; readonly json: boolean } | undefined;
}

export class PortChecker implements Service {
  /** Accepts connections but answers nothing. */
  silent = false;
  readonly #post: Post;
  readonly #callers: Map<SocketId, Caller> = new Map();
  #nextDial = FIRST_DIAL;

  constructor(post: Post, now: Instant) {
    this.#post = post;
    post({ kind: 'tcp-listen', socket: LISTENER, port: 80, backlog: MAX_CALLERS }, now);
  }

  handleEvent(event: SocketEvent, now: Instant): void {
    switch (event.kind) {
      case 'tcp-accepted':
        if (event.listener === LISTENER) this.#accept(event.socket, event.remote.address, now);
        break;
      case 'tcp-data':
        this.#read(event.socket, event.bytes, now);
        break;
      case 'tcp-connected':
        this.#finish(this.#callerWaitingFor(event.socket), true, now);
        this.#post({ kind: 'tcp-abort', socket: event.socket }, now);
        break;
      case 'closed':
        this.#callers.delete(event.socket);
        this.#finish(this.#callerWaitingFor(event.socket), false, now);
        break;
    }
  }

  handleTimeout(now: Instant): void {
    for (const caller of this.#callers.values()) {
      if (caller.deadline > now) continue;
      const { check, socket } = caller;
      if (check) {
        this.#finish(caller, false, now);
        this.#post({ kind: 'tcp-abort', socket: check.dial }, now);
      } else {
        this.#callers.delete(socket);
        this.#post({ kind: 'tcp-abort', socket }, now);
      }
    }
  }

  nextTimeout(): Instant | undefined {
    let next: Instant | undefined;
    for (const { deadline } of this.#callers.values()) next = earliest(next, deadline);
    return next;
  }

  #accept(socket: SocketId, address: IpAddress, now: Instant): void {
    const deadline = after(now, REQUEST_TIMEOUT_MS);
    if (this.#callers.size < MAX_CALLERS)
      this.#callers.set(socket, { socket, address, deadline, request: '', check: undefined });
    else this.#post({ kind: 'tcp-abort', socket }, now);
  }

  #read(socket: SocketId, bytes: Uint8Array, now: Instant): void {
    const caller = this.#callers.get(socket);
    if (!caller) return;
    this.#post({ kind: 'tcp-credit', socket, bytes: bytes.length }, now);
    if (caller.request === undefined || this.silent) return;
    for (let i = 0; i < bytes.length; i++) caller.request += String.fromCharCode(bytes[i]!);
    const tooLong = caller.request.length > MAX_REQUEST_LENGTH;
    if (!tooLong && !caller.request.includes('\r\n\r\n')) return;
    const port = tooLong ? 0 : askedPort(caller.request);
    if (port === 0) this.#reply(caller, respond(tooLong ? 431 : 400, 'text/plain', ''), now);
    else {
      const json = /\r\naccept:[^\r]*application\/json/i.test(caller.request);
      caller.request = undefined;
      caller.deadline = after(now, DIAL_TIMEOUT_MS);
      caller.check = { dial: this.#nextDial++, port, json };
      this.#post({ kind: 'tcp-connect', socket: caller.check.dial, to: { address: caller.address, port } }, now);
    }
  }

  #callerWaitingFor(dial: SocketId): Caller | undefined {
    return [...this.#callers.values()].find(({ check }) => check?.dial === dial);
  }

  #finish(caller: Caller | undefined, reachable: boolean, now: Instant): void {
    if (!caller?.check) return;
    const { port, json } = caller.check;
    const answer = json
      ? respond(200, 'application/json', JSON.stringify({ ip: formatIp(caller.address), port, reachable }))
      : respond(200, 'text/plain', reachable ? 'open' : 'closed');
    this.#reply(caller, answer, now);
  }

  #reply(caller: Caller, response: string, now: Instant): void {
    caller.request = undefined;
    caller.check = undefined;
    caller.deadline = after(now, REQUEST_TIMEOUT_MS);
    this.#post({ kind: 'tcp-write', socket: caller.socket, bytes: ascii(response) }, now);
    this.#post({ kind: 'tcp-shutdown', socket: caller.socket }, now);
  }
}

/** 0 if the request names none. */
function askedPort(request: string): number {
  const [, text] = /^GET \/(?:\?port=)?(\d{1,5}) HTTP\/1\.[01]\r\n/.exec(request) ?? [];
  const port = Number(text ?? 0);
  return port <= 65_535 ? port : 0;
}
