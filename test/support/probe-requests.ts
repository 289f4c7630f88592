/** Asks the exit echo of a `ProviderWorld` what the leak probe wants to know, as the shell does with HTTP over its sockets. */

import { ascii } from '../../src/core/base/bytes.ts';
import type { Instant } from '../../src/core/base/instant.ts';
import type { ProberEvent } from '../../src/core/guard/prober-messages.ts';
import type { SocketEvent, SocketId } from '../../src/core/netstack/messages.ts';
import type { TunnelMachine } from '../../src/core/tunnel/tunnel-machine.ts';
import { ECHO_ADDRESSES } from '../../src/sandbox/addressing.ts';

/** Ids that nobody else in a test has. */
const FIRST_SOCKET: SocketId = 1_000_000_000;

interface Request {
  readonly number: number;
  text: string;
}

export class ProbeRequests {
  /** Questions that were answered. */
  answered = 0;
  /** Probes that were over. */
  done = 0;
  readonly #machine: TunnelMachine;
  readonly #now: () => Instant;
  readonly #requests: Map<SocketId, Request> = new Map();
  #lastSocket = FIRST_SOCKET;

  constructor(machine: TunnelMachine, now: () => Instant) {
    this.#machine = machine;
    this.#now = now;
  }

  handleProber(event: ProberEvent): void {
    if (event.kind === 'ask') this.#ask(event.number, event.family);
    else if (event.kind === 'done') this.done++;
  }

  /** An event of any socket; those that are not its own it leaves alone. */
  handleSocket(event: SocketEvent): void {
    const request = 'socket' in event ? this.#requests.get(event.socket) : undefined;
    if (!request) return;
    if (event.kind === 'tcp-connected') {
      const bytes = ascii('GET / HTTP/1.1\r\nHost: ip.sluice.test\r\n\r\n');
      this.#machine.handleCommand({ kind: 'tcp-write', socket: event.socket, bytes }, this.#now());
    } else if (event.kind === 'tcp-data') request.text += String.fromCharCode(...event.bytes);
    else if (event.kind === 'tcp-end') this.#finish(event.socket, request);
    else if (event.kind === 'closed') this.#requests.delete(event.socket);
  }

  #ask(number: number, family: 4 | 6): void {
    const socket = ++this.#lastSocket;
    const address = ECHO_ADDRESSES.find((echo) => echo.family === family)!;
    this.#requests.set(socket, { number, text: '' });
    this.#machine.admitProbe(socket);
    this.#machine.handleCommand({ kind: 'tcp-connect', socket, to: { address, port: 80 } }, this.#now());
  }

  #finish(socket: SocketId, { number, text }: Request): void {
    this.answered++;
    this.#machine.handleCommand({ kind: 'tcp-abort', socket }, this.#now());
    const body = ascii(text.slice(text.indexOf('\r\n\r\n') + 4));
    this.#machine.mutateProber((prober) => prober.handleAnswer(number, body, this.#now()), this.#now());
  }
}
