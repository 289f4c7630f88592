/**
 * A UDP port on a descriptor of our own: what the polling and the watched port have in common. How datagrams that wait become known, and who
 * closes the descriptor, is theirs.
 */

import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Endpoint } from '../../core/base/address.ts';
import { Burst } from '../../core/base/burst.ts';
import { systemError } from '../node-errors.ts';
import type { UdpPort, UdpPortCounters, UdpPortHandlers, UdpPortOptions } from '../udp-port.ts';
import type { Libc } from './ffi.ts';
import { SOFT_ERRORS, slotBytesFor } from './limits.ts';
import { askForBuffersOf, type OpenedDescriptor, pathMtuOf, setOption } from './open-socket.ts';
import type { Receiver, ReceivingPort } from './receiver.ts';
import { Sender } from './sender.ts';
import { Sources } from './socket-address.ts';

const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const { EAGAIN, EPERM } = constants.errno;

export abstract class DescriptorPort implements UdpPort, ReceivingPort {
  readonly transmit: Burst;
  readonly local: Endpoint;
  readonly counters: UdpPortCounters;
  congested = false;
  readonly descriptor: number;
  readonly remote: Endpoint | undefined;
  readonly sources: Sources = new Sources();
  readonly largestDatagram: number;
  protected closed = false;
  readonly #handlers: UdpPortHandlers;
  readonly #libc: Libc;
  readonly #release: UdpPortOptions['release'];
  readonly #sender: Sender;
  #failed = false;

  constructor(libc: Libc, opened: OpenedDescriptor, slots: number, options: UdpPortOptions, handlers: UdpPortHandlers) {
    const { remote, mtu, allocate, release } = options;
    const { descriptor, local } = opened;
    this.#libc = libc;
    this.descriptor = descriptor;
    this.local = local;
    this.remote = remote;
    this.largestDatagram = slotBytesFor(mtu);
    this.#handlers = handlers;
    this.#release = release;
    this.counters = {
      received: 0,
      sent: 0,
      oversized: 0,
      wrongEndpoint: 0,
      softErrors: 0,
      receiveBufferBytes: askForBuffersOf(libc, descriptor),
    };
    this.transmit = new Burst(slots, this.largestDatagram, allocate?.(slots * this.largestDatagram));
    this.#sender = new Sender(libc, this.transmit, {
      descriptor,
      remote,
      counters: this.counters,
      // Kernels before 4.18 refuse the option, and would take the control message for nothing and send one huge datagram.
      segmentation: setOption(libc, descriptor, SOL_UDP, UDP_SEGMENT, 0),
      onRefused: (errno) => this.handleError(systemError(getSystemErrorName(-errno), 'send')),
    });
  }

  abstract close(): Promise<void>;
  /** `resume` is to be called when the system’s queue may have room again. */
  protected abstract awaitRoom(): void;

  flush(): void {
    if (this.transmit.count > 0 && !this.congested && !this.closed) this.#send();
  }

  /** Goes on with what the system’s queue had no room for. */
  resume(): void {
    if (!this.congested || this.closed) return;
    this.#send();
    if (!this.congested) this.#handlers.onDrain();
  }

  /** Hands over what the receiver has got. */
  protected deliver({ burst }: Receiver): void {
    try {
      if (burst.count > 0 && !this.closed) this.#handlers.onBurst(burst);
    } finally {
      burst.clear();
    }
  }

  /** What `Receiver.receive` returned below zero. */
  protected handleNothingReceived(errno: number): void {
    if (errno === EAGAIN) return;
    const error = systemError(getSystemErrorName(-errno), 'recvmmsg');
    // A firewall refuses what is sent, not what is received: this is a filter of system calls (seccomp), and it stays.
    if (errno === EPERM) this.#fail(error);
    else this.handleError(error);
  }

  protected handleError(error: NodeJS.ErrnoException): void {
    if (SOFT_ERRORS.has(error.code ?? '')) {
      this.counters.softErrors++;
      if (error.code === 'EMSGSIZE' && !this.closed) this.#tellTooLong();
      return;
    }
    this.#fail(error);
  }

  protected releaseMemory(): void {
    this.#release?.(this.transmit.slab);
  }

  #tellTooLong(): void {
    this.#handlers.onTooLong?.(this.remote && pathMtuOf(this.#libc, this.descriptor, this.remote.address.family));
  }

  #fail(error: Error): void {
    if (this.#failed || this.closed) return;
    this.#failed = true;
    this.#handlers.onError(error);
  }

  #send(): void {
    const before = this.counters.sent;
    this.congested = !this.#sender.flush();
    if (this.counters.sent > before) this.#failed = false;
    if (this.congested) this.awaitRoom();
  }
}
