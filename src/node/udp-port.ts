/** The UDP socket outside the tunnel as bursts in both directions, and the port that runs everywhere, on node:dgram. */

import { type Endpoint, formatIp, parseIp, sameEndpoint } from '../core/base/address.ts';
import { Burst } from '../core/base/burst.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { SOFT_ERRORS, slotBytesFor } from './udp/limits.ts';
import { askForBuffers, openDgramSocket, type RemoteInfo, type Socket } from './udp/open-socket.ts';
import { Sources, withoutZone } from './udp/socket-address.ts';

export interface UdpPort {
  /** To be filled with datagrams; an absent endpoint means the connected remote. May be another object after `flush`. */
  readonly transmit: Burst;
  /** Sends what is in `transmit` and clears it. */
  flush(): void;
  /** True while the system's queue is full: leave `transmit` alone until `onDrain`. */
  readonly congested: boolean;
  readonly local: Endpoint;
  /** Nothing is received after the call; resolves when the port is free again. */
  close(): Promise<void>;
  /** Absent where a port only distributes to others. */
  readonly counters?: UdpPortCounters;
}

export interface UdpPortHandlers {
  /** Datagrams, to be taken before it returns; the memory may be overwritten, and is reused after. */
  onBurst(burst: Burst): void;
  onDrain(): void;
  /**
   * The system has learnt that the path carries less than was sent (EMSGSIZE); where it can, it sends in fragments from now on. `pathMtu`:
   * the largest IP packet that it knows to pass, in bytes, from ports that can ask.
   */
  onTooLong?(pathMtu?: number): void;
  /** The port carries nothing any more (its address or interface went away): open another. Once until a datagram is sent again. */
  onError(error: Error): void;
}

export interface UdpPortOptions {
  readonly remote?: Endpoint;
  readonly bind?: Endpoint;
  /** The tunnel's MTU, if slots of 2048 bytes might be too small for it. */
  readonly mtu?: number;
  /** Where the slabs come from and go to when the port is closed, so that the AEAD finds the packets in its own memory. */
  readonly allocate?: Crypto['allocate'];
  readonly release?: Crypto['release'];
}

export type OpenUdpPort = (options: UdpPortOptions, handlers: UdpPortHandlers) => Promise<UdpPort>;

export interface UdpPortCounters {
  received: number;
  sent: number;
  /** Received, but larger than a slot: no datagram of WireGuard at this MTU. */
  oversized: number;
  /** To another endpoint than the connected one: never sent. */
  wrongEndpoint: number;
  /** Refusals that the port survived, such as ICMP port unreachable. Of each flush only the last datagram is watched. */
  softErrors: number;
  /** What the system granted of the buffer that was asked for, in bytes (Linux reports twice what it uses for data). */
  receiveBufferBytes: number;
}

/** Opens a port. Throws `ERR_UDP_PORT` with the system's reason as `cause`. */
export const openDgramPort: OpenUdpPort = async (options, handlers) =>
  new DgramPort(await openDgramSocket(options), options, handlers);

const SLOTS = 64;

class DgramPort implements UdpPort {
  readonly transmit: Burst;
  readonly local: Endpoint;
  readonly counters: UdpPortCounters;
  congested = false;
  readonly #socket: Socket;
  readonly #remote: Endpoint | undefined;
  readonly #handlers: UdpPortHandlers;
  readonly #receive: Burst;
  readonly #release: UdpPortOptions['release'];
  readonly #sources: Sources = new Sources();
  /** The view that each slot was last sent through: most datagrams have the length of the one before. */
  readonly #views: Uint8Array[] = [];
  #target: Endpoint | undefined;
  #targetText = '';
  #receivePending = false;
  #failed = false;
  #closed: Promise<void> | undefined;

  constructor(socket: Socket, { remote, mtu, allocate, release }: UdpPortOptions, handlers: UdpPortHandlers) {
    const slotBytes = slotBytesFor(mtu);
    this.transmit = new Burst(SLOTS, slotBytes, allocate?.(SLOTS * slotBytes));
    this.#receive = new Burst(SLOTS, slotBytes, allocate?.(SLOTS * slotBytes));
    this.#release = release;
    this.#socket = socket;
    this.#remote = remote;
    this.#handlers = handlers;
    const { address, port } = socket.address();
    this.local = { address: parseIp(withoutZone(address))!, port };
    this.counters = {
      received: 0,
      sent: 0,
      oversized: 0,
      wrongEndpoint: 0,
      softErrors: 0,
      receiveBufferBytes: askForBuffers(socket),
    };
    socket.on('message', (bytes, from) => this.#handleMessage(bytes, from));
    socket.on('error', (error) => this.#handleError(error));
  }

  flush(): void {
    const { transmit } = this;
    const { count } = transmit;
    if (count === 0 || this.congested || this.#closed) return;
    for (let i = 0; i < count; i++) this.#send(i, i === count - 1 ? this.#handleSent : undefined);
    transmit.clear();
    // What the system did not take at once still lies in `transmit`; the callback of the last datagram ends the wait.
    this.congested = this.#socket.getSendQueueCount() > 0;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      this.#socket.removeAllListeners('message');
      this.#socket.close(() => {
        // Not before: what the system has not taken yet still lies in `transmit`.
        this.#release?.(this.transmit.slab);
        this.#release?.(this.#receive.slab);
        resolve();
      });
    });
    return this.#closed;
  }

  #send(index: number, sent: SentCallback | undefined): void {
    const { transmit } = this;
    const endpoint = transmit.endpoints[index];
    if (this.#remote) {
      if (endpoint && endpoint !== this.#remote && !sameEndpoint(endpoint, this.#remote)) {
        this.counters.wrongEndpoint++;
        sent?.(null);
        return;
      }
      this.#socket.send(this.#view(index), sent);
    } else if (endpoint) {
      if (endpoint !== this.#target) {
        this.#target = endpoint;
        this.#targetText = formatIp(endpoint.address);
      }
      this.#socket.send(this.#view(index), endpoint.port, this.#targetText, sent);
    } else {
      this.counters.wrongEndpoint++;
      sent?.(null);
      return;
    }
    this.counters.sent++;
  }

  #view(index: number): Uint8Array {
    const length = this.transmit.lengths[index]!;
    const view = this.#views[index];
    if (view && view.length === length) return view;
    const offset = this.transmit.offsets[index]!;
    return (this.#views[index] = this.transmit.slab.subarray(offset, offset + length));
  }

  readonly #handleSent: SentCallback = (error) => {
    if (error) this.#handleError(error);
    else this.#failed = false;
    this.#checkDrained();
  };

  readonly #checkDrained = (): void => {
    if (!this.congested || this.#closed) return;
    // The last datagram may have been refused while those before it still wait.
    if (this.#socket.getSendQueueCount() > 0) {
      setTimeout(this.#checkDrained, 1);
      return;
    }
    this.congested = false;
    this.#handlers.onDrain();
  };

  #handleMessage(bytes: Uint8Array, from: RemoteInfo): void {
    this.counters.received++;
    const endpoint = this.#remote ?? this.#sources.ofText(from.address, from.port);
    if (!this.#receive.append(bytes, endpoint)) {
      this.counters.oversized++;
      return;
    }
    if (this.#receive.full) this.#deliver();
    else if (!this.#receivePending) {
      this.#receivePending = true;
      // Node reads up to 32 datagrams in one turn; the check phase comes right behind the last of them.
      setImmediate(this.#handleTurn);
    }
  }

  readonly #handleTurn = (): void => {
    this.#receivePending = false;
    if (this.#receive.count > 0 && !this.#closed) this.#deliver();
  };

  #deliver(): void {
    try {
      this.#handlers.onBurst(this.#receive);
    } finally {
      this.#receive.clear();
    }
  }

  #handleError(error: Error): void {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (SOFT_ERRORS.has(code)) {
      this.counters.softErrors++;
      if (code === 'EMSGSIZE' && !this.#closed) this.#handlers.onTooLong?.();
      return;
    }
    if (this.#failed || this.#closed) return;
    this.#failed = true;
    this.#handlers.onError(error);
  }
}

type SentCallback = (error: Error | null) => void;
