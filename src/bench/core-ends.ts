/** What a transfer in memory consists of: trains of datagrams, and ends of the tunnel with their sockets. */

import type { Endpoint } from '../core/base/address.ts';
import { Burst } from '../core/base/burst.ts';
import type { Instant } from '../core/base/instant.ts';
import type { SocketEvent, SocketId } from '../core/netstack/messages.ts';
import type { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';

/** As a UDP port hands over at most, and takes at once. */
export const BURST_DATAGRAMS: number = 32;
export const SLOT_BYTES: number = 2048;
export const TRAIN_DATAGRAMS: number = 256;
/** Longer datagrams are full packets. */
export const FULL_BYTES: number = 1000;

/** Datagrams in a row, with the address they come from. */
export class Train {
  readonly #source: Endpoint;
  readonly #datagrams: Burst = new Burst(TRAIN_DATAGRAMS, SLOT_BYTES);
  readonly #transmit: Burst = new Burst(BURST_DATAGRAMS, SLOT_BYTES);

  constructor(source: Endpoint) {
    this.#source = source;
  }

  get count(): number {
    return this.#datagrams.count;
  }

  get room(): number {
    return Math.max(0, TRAIN_DATAGRAMS - BURST_DATAGRAMS - this.count);
  }

  clear(): void {
    this.#datagrams.clear();
  }

  append(burst: Burst): void {
    for (let i = 0; i < burst.count; i++) this.#datagrams.append(burst.datagram(i), this.#source);
  }

  /** Takes anew what `end` has to send, and lets it write until there is no room or nothing to write. */
  fill(end: End, now: Instant): void {
    this.clear();
    this.#take(end, now);
    // A write that brings no packet met a full window: more would only wait, and lose its own end as a mark in the stream.
    for (let full = 0; this.room > 0 && full < end.connected && end.write(now); )
      full = this.#take(end, now) ? 0 : full + 1;
  }

  copyTo(burst: Burst, from: number, count: number): void {
    burst.clear();
    for (let i = from; i < Math.min(this.count, from + count); i++)
      burst.append(this.#datagrams.datagram(i), this.#source);
  }

  copies(): Uint8Array[] {
    return Array.from({ length: this.count }, (_, i) => this.#datagrams.datagram(i).slice());
  }

  #take(end: End, now: Instant): boolean {
    const before = this.count;
    do {
      this.#transmit.clear();
      end.machine.transmit(this.#transmit, now);
      this.append(this.#transmit);
    } while (this.#transmit.full && this.room > 0);
    return this.count > before;
  }
}

/** One end of the tunnel and what its sockets do: read and credit at once, or write `runBytes` on one connection after the other. */
export class End {
  readonly machine: TunnelMachine;
  received = 0;
  connected = 0;
  readonly #run: Uint8Array | undefined;
  readonly #sockets: SocketId[] = [];
  readonly #credits = new Map<SocketId, number>();
  #turn = 0;

  constructor(machine: TunnelMachine, runBytes: number | undefined) {
    this.machine = machine;
    this.#run = runBytes === undefined ? undefined : new Uint8Array(runBytes);
  }

  handle(burst: Burst, now: Instant): void {
    this.machine.handleBurst(burst, now);
    this.#deliver(now);
  }

  handleTimeout(now: Instant): void {
    const due = this.machine.nextTimeout();
    if (due !== undefined && due <= now) this.machine.handleTimeout(now);
    this.#deliver(now);
  }

  /** Writes on the next connection that has the credit for it. False if none has. */
  write(now: Instant): boolean {
    if (!this.#run) return false;
    for (let tried = 0; tried < this.#sockets.length; tried++) {
      const socket = this.#sockets[this.#turn++ % this.#sockets.length]!;
      const credit = this.#credits.get(socket)!;
      if (credit < this.#run.length) continue;
      this.#credits.set(socket, credit - this.#run.length);
      this.machine.handleCommand({ kind: 'tcp-write', socket, bytes: this.#run }, now);
      return true;
    }
    return false;
  }

  #deliver(now: Instant): void {
    const { machine } = this;
    for (let event = machine.nextOutput(); event !== undefined; event = machine.nextOutput()) this.#handle(event, now);
    while (machine.nextTunnelEvent() !== undefined);
  }

  #handle(event: SocketEvent, now: Instant): void {
    if (event.kind === 'tcp-data') {
      const { socket, bytes } = event;
      this.received += bytes.length;
      this.machine.handleCommand({ kind: 'tcp-credit', socket, bytes: bytes.length }, now);
      this.machine.reclaim(bytes);
    } else if (event.kind === 'tcp-connected' || event.kind === 'tcp-accepted') {
      this.connected++;
      this.#sockets.push(event.socket);
      this.#credits.set(event.socket, event.writeCredit);
    } else if (event.kind === 'tcp-write-credit') {
      this.#credits.set(event.socket, this.#credits.get(event.socket)! + event.bytes);
    } else if (event.kind === 'closed') {
      throw new Error(`socket ${event.socket} closed: ${event.error}`);
    }
  }
}
