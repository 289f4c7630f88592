/**
 * Sending with `sendmmsg(2)`: one system call for a burst, in which datagrams of one size to one endpoint go as one message that the system,
 * or the network card, cuts up (UDP_SEGMENT, udp(7)).
 */

import { constants } from 'node:os';
import { type Endpoint, sameEndpoint } from '../../core/base/address.ts';
import type { Burst } from '../../core/base/burst.ts';
import type { UdpPortCounters } from '../udp-port.ts';
import type { Libc } from './ffi.ts';
import { MessageTable } from './message-table.ts';
import { encodeSocketAddress } from './socket-address.ts';

/** In one message: what kernels since 4.18 take, and what IPv4 can carry. */
const MAX_SEGMENTS = 64;
const MAX_MESSAGE = 65_507;

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const { EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOSYS, EPERM } = constants.errno;

export interface SenderOptions {
  readonly descriptor: number;
  readonly remote: Endpoint | undefined;
  readonly counters: UdpPortCounters;
  /** Whether the socket knows UDP_SEGMENT. */
  readonly segmentation: boolean;
  /** A message was refused with this error number. */
  readonly onRefused: (errno: number) => void;
}

export class Sender {
  readonly #libc: Libc;
  readonly #options: SenderOptions;
  readonly #transmit: Burst;
  readonly #slabAddress: number;
  readonly #table: MessageTable;
  /** For each message of the table: the index of its first datagram, and the number of its datagrams. */
  readonly #firsts: Int32Array;
  readonly #counts: Int32Array;
  #messages = 0;
  /** Messages of the table that are done with. */
  #done = 0;
  /** Larger datagrams are not joined; 0: none are. */
  #largestSegment: number;
  #oneByOne = false;
  /** Datagrams of the burst whose endpoint has been looked at. */
  #judged = 0;
  /** The message that is being tried again. */
  #retried = -1;
  /** Of the datagram before: most go to the same one. */
  #target: Endpoint | undefined;
  #targetAddress: Uint8Array = new Uint8Array(0);

  constructor(libc: Libc, transmit: Burst, options: SenderOptions) {
    const { capacity } = transmit;
    this.#libc = libc;
    this.#options = options;
    this.#transmit = transmit;
    this.#slabAddress = libc.addressOf(transmit.slab);
    this.#table = new MessageTable(libc, capacity, capacity);
    this.#firsts = new Int32Array(capacity);
    this.#counts = new Int32Array(capacity);
    this.#largestSegment = options.segmentation ? MAX_MESSAGE : 0;
  }

  /** Sends the burst and clears it. False while the system’s queue is full: call again, with the burst as it is. */
  flush(): boolean {
    if (this.#messages === 0) this.#prepare(0);
    while (this.#done < this.#messages) if (!this.#send()) return false;
    this.#messages = 0;
    this.#judged = 0;
    this.#transmit.clear();
    return true;
  }

  /** One system call. False if the queue is full. */
  #send(): boolean {
    const { descriptor } = this.#options;
    const rest = this.#messages - this.#done;
    const sent = this.#oneByOne
      ? this.#sendOne()
      : this.#libc.sendmmsg(descriptor, this.#table.addressOf(this.#done), rest, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return this.#handleRefusal(this.#libc.errno());
    this.#count(sent);
    return true;
  }

  #sendOne(): number {
    const { descriptor } = this.#options;
    const address = this.#table.addressOf(this.#done);
    return this.#libc.sendmsg(descriptor, address, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 1;
  }

  #count(messages: number): void {
    for (const end = this.#done + messages; this.#done < end; this.#done++)
      this.#options.counters.sent += this.#counts[this.#done]!;
  }

  #handleRefusal(errno: number): boolean {
    if (errno === EAGAIN) return false;
    if (errno === EINTR) return true;
    if (this.#refusesToCut(errno)) {
      // EIO: this interface cannot. Else: these datagrams are larger than the path takes in one piece, others may not be.
      const first = this.#firsts[this.#done]!;
      this.#largestSegment = errno === EIO ? 0 : this.#transmit.lengths[first]! - 1;
      this.#prepare(first);
      return true;
    }
    // A filter of system calls (seccomp) may know the old call only; a firewall refuses that as well.
    if (!this.#oneByOne && (errno === ENOSYS || errno === EPERM)) {
      if (this.#sendOne() > 0) {
        this.#oneByOne = true;
        this.#count(1);
        return true;
      }
      errno = this.#libc.errno();
      if (errno === EAGAIN) return false;
    }
    if (this.#retried === this.#done) {
      this.#done++;
      return true;
    }
    // What is told may be the fate of an earlier datagram (ICMP); this one has not been sent.
    this.#options.onRefused(errno);
    this.#retried = this.#done;
    return true;
  }

  /** The system would take the datagrams one by one. EMSGSIZE may also be news of the path, which are told once. */
  #refusesToCut(errno: number): boolean {
    if (this.#counts[this.#done]! === 1) return false;
    return errno === EIO || errno === EINVAL || (errno === EMSGSIZE && this.#retried === this.#done);
  }

  /** Makes messages of the datagrams from `first`. */
  #prepare(first: number): void {
    const { count, lengths, offsets, endpoints } = this.#transmit;
    const { remote, counters } = this.#options;
    this.#messages = 0;
    this.#done = 0;
    this.#retried = -1;
    let parts = 0;
    let size = 0;
    let bytes = 0;
    for (let i = first; i < count; i++) {
      const endpoint = endpoints[i];
      if (!this.#mayGo(endpoint)) {
        if (i >= this.#judged) counters.wrongEndpoint++;
        continue;
      }
      const length = lengths[i]!;
      this.#table.setPart(parts, this.#slabAddress + offsets[i]!, length);
      const message = this.#messages - 1;
      const joins =
        message >= 0 &&
        length > 0 &&
        length <= size &&
        bytes % size === 0 &&
        bytes + length <= MAX_MESSAGE &&
        this.#counts[message]! < MAX_SEGMENTS &&
        (remote !== undefined || endpoint === this.#target);
      if (joins) {
        this.#counts[message]!++;
        bytes += length;
      } else {
        this.#finish(parts, size);
        this.#begin(i, remote ? undefined : endpoint);
        size = length <= this.#largestSegment ? length : 0;
        bytes = length;
      }
      parts++;
    }
    this.#finish(parts, size);
    this.#judged = count;
  }

  /** A connected socket could only send it to the wrong one; another knows no address for it. */
  #mayGo(endpoint: Endpoint | undefined): boolean {
    const { remote } = this.#options;
    if (!remote) return endpoint !== undefined;
    if (endpoint === undefined || endpoint === this.#target) return true;
    if (!sameEndpoint(endpoint, remote)) return false;
    this.#target = endpoint;
    return true;
  }

  #begin(datagram: number, endpoint: Endpoint | undefined): void {
    const message = this.#messages++;
    this.#firsts[message] = datagram;
    this.#counts[message] = 1;
    if (!endpoint) return;
    if (endpoint !== this.#target) {
      this.#target = endpoint;
      this.#targetAddress = encodeSocketAddress(endpoint);
    }
    this.#table.setName(message, this.#targetAddress);
  }

  /** The latest message has all of its datagrams: the last ones of `parts`. */
  #finish(parts: number, size: number): void {
    const message = this.#messages - 1;
    if (message < 0) return;
    const count = this.#counts[message]!;
    this.#table.setParts(message, parts - count, count);
    this.#table.setSegmentSize(message, count > 1 ? size : 0);
  }
}
