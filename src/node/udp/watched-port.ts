/**
 * The fast UDP port for a thread with an event loop. node:dgram watches the descriptor and reads the first datagram of a turn; all others are
 * read by `recvmmsg` and sent by `sendmmsg`. No GRO: a read by libuv would lose where datagrams begin.
 */

import type { OpenUdpPort, UdpPortHandlers, UdpPortOptions } from '../udp-port.ts';
import { DescriptorPort } from './descriptor-port.ts';
import type { Libc } from './ffi.ts';
import { type OpenedDescriptor, openWatchedSocket, type RemoteInfo, type Socket } from './open-socket.ts';
import { Receiver } from './receiver.ts';

const RECEIVE_SLOTS = 128;
const TRANSMIT_SLOTS = 64;
/** System calls that read ahead of libuv in one turn, so that a flood cannot keep the event loop from its timers. */
const READS_PER_TURN = 2;
const CONGESTION_RETRY_MS = 1;

/** Opens ports of this kind. They throw as `openDgramPort` does. */
export function watchedPorts(libc: Libc): OpenUdpPort {
  return async (options, handlers) => {
    const { opened, socket } = await openWatchedSocket(libc, options);
    return new WatchedPort(libc, opened, socket, options, handlers);
  };
}

class WatchedPort extends DescriptorPort {
  readonly #socket: Socket;
  readonly #receiver: Receiver;
  readonly #release: UdpPortOptions['release'];
  /** Slots of the receiver that are taken. */
  #taken = 0;
  #reads = 0;
  #turnPending = false;
  #closing: Promise<void> | undefined;

  constructor(
    libc: Libc,
    opened: OpenedDescriptor,
    socket: Socket,
    options: UdpPortOptions,
    handlers: UdpPortHandlers,
  ) {
    super(libc, opened, TRANSMIT_SLOTS, options, handlers);
    this.#socket = socket;
    this.#release = options.release;
    const { allocate } = options;
    this.#receiver = new Receiver(libc, { slots: RECEIVE_SLOTS, slotBytes: this.largestDatagram, allocate });
    socket.on('message', (bytes, from) => this.#handleMessage(bytes, from));
    socket.on('error', (error) => this.handleError(error));
  }

  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.closed = true;
      this.#socket.removeAllListeners('message');
      this.#socket.close(() => {
        this.#release?.(this.#receiver.burst.slab);
        this.releaseMemory();
        resolve();
      });
    });
    return this.#closing;
  }

  protected override awaitRoom(): void {
    setTimeout(() => this.resume(), CONGESTION_RETRY_MS);
  }

  #handleMessage(bytes: Uint8Array, from: RemoteInfo): void {
    this.counters.received++;
    this.#take(bytes, from);
    if (!this.#turnPending) {
      this.#turnPending = true;
      // Node reads up to 32 datagrams in one turn; the check phase comes right behind the last of them.
      setImmediate(this.#handleTurn);
    }
    if (this.#taken === RECEIVE_SLOTS) this.#handOver();
    else if (this.#reads < READS_PER_TURN) this.#readAhead();
  }

  #take(bytes: Uint8Array, from: RemoteInfo): void {
    if (bytes.length > this.largestDatagram) {
      this.counters.oversized++;
      return;
    }
    const { burst, slotBytes } = this.#receiver;
    const offset = this.#taken++ * slotBytes;
    burst.slab.set(bytes, offset);
    burst.place(offset, bytes.length, this.remote ?? this.sources.ofText(from.address, from.port));
  }

  /** Everything that waits behind the datagram that libuv has read. */
  #readAhead(): void {
    this.#reads++;
    const messages = this.#receiver.receive(this, this.#taken);
    if (messages < 0) {
      this.handleNothingReceived(-messages);
      return;
    }
    this.#taken += messages;
    if (this.#taken === RECEIVE_SLOTS) this.#handOver();
  }

  readonly #handleTurn = (): void => {
    this.#turnPending = false;
    this.#reads = 0;
    this.#handOver();
  };

  #handOver(): void {
    this.#taken = 0;
    this.deliver(this.#receiver);
  }
}
