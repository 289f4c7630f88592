/** UDP ports for a thread that does nothing else: it sleeps in one `poll(2)` over all of them until there is something to do. */

import { SluiceError } from '../../core/base/errors.ts';
import type { OpenUdpPort, UdpPortHandlers, UdpPortOptions } from '../udp-port.ts';
import { DescriptorPort } from './descriptor-port.ts';
import type { Libc } from './ffi.ts';
import { NativeMemory } from './native-memory.ts';
import { failure, type OpenedDescriptor, openDescriptor, setOption } from './open-socket.ts';
import { Receiver } from './receiver.ts';

export interface PollerOptions {
  /** Where the memory for received datagrams comes from and goes to: see `Crypto.allocate`. */
  readonly allocate?: UdpPortOptions['allocate'];
  readonly release?: UdpPortOptions['release'];
}

/** Messages for each `recvmmsg`. With GRO, each has up to 64 datagrams. */
const RECEIVE_SLOTS = 16;
const TRANSMIT_SLOTS = 128;
/** The eventfd and the ports: two for each server of a tunnel, one more to try a server. */
const MAX_DESCRIPTORS = 128;
const LONGEST_SLEEP_MS = 500;

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;
const SOL_UDP = 17;
const UDP_GRO = 104;
const POLLIN = 1;
const POLLOUT = 4;
/** A `struct pollfd` is two words: the descriptor, then what is asked for and what was found, 16 bits each. */
const POLLFD_WORDS = 2;

export class Poller {
  /** An eventfd: eight bytes written to it by any thread, the first of them 1, the others 0, end `wait`. */
  readonly wakeDescriptor: number;
  /**
   * The descriptors that are open on behalf of this thread, `wakeDescriptor` among them, in shared memory; -1 is a free place. Who ends the
   * thread by force closes them, since nobody else will.
   */
  readonly descriptors: Int32Array = new Int32Array(new SharedArrayBuffer(MAX_DESCRIPTORS * 4)).fill(-1);
  readonly #libc: Libc;
  readonly #options: PollerOptions;
  readonly #receiver: Receiver;
  /** Replaced when it changes. */
  #ports: readonly PollingPort[] = [];
  /** The ports of the last `wait`, if it found something. */
  #found: readonly PollingPort[] = [];
  readonly #polled: NativeMemory;
  /** Where the count of the eventfd is read to. */
  readonly #wakeCount: NativeMemory;

  /** Throws `ERR_UDP_PORT` if the system gives no eventfd. */
  constructor(libc: Libc, options: PollerOptions = {}) {
    this.#libc = libc;
    this.#options = options;
    this.#polled = new NativeMemory(libc, MAX_DESCRIPTORS * POLLFD_WORDS * 4);
    this.#wakeCount = new NativeMemory(libc, 8);
    this.wakeDescriptor = libc.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (this.wakeDescriptor < 0) {
      const cause = failure(libc, 'eventfd');
      throw new SluiceError('ERR_UDP_PORT', `No UDP port could be polled: ${cause.message}.`, { cause });
    }
    this.descriptors[0] = this.wakeDescriptor;
    this.#receiver = new Receiver(libc, { slots: RECEIVE_SLOTS, allocate: options.allocate });
  }

  /** Opens a port whose handlers are called by `receive` of this poller. A port that is closed leaves it. */
  readonly openUdpPort: OpenUdpPort = async (options, handlers) => this.open(options, handlers);

  /** As `openUdpPort`, at once. */
  open(options: UdpPortOptions, handlers: UdpPortHandlers): PollingPort {
    const place = this.descriptors.indexOf(-1);
    if (place < 0)
      throw new SluiceError('ERR_UDP_PORT', `No more than ${MAX_DESCRIPTORS - 1} UDP ports can be polled.`);
    const opened = openDescriptor(this.#libc, options);
    this.descriptors[place] = opened.descriptor;
    setOption(this.#libc, opened.descriptor, SOL_UDP, UDP_GRO, 1);
    const port = new PollingPort(this.#libc, opened, options, handlers, () => this.#remove(port));
    this.#ports = [...this.#ports, port];
    return port;
  }

  /**
   * Sleeps until a datagram waits, a congested port can send again, somebody writes to `wakeDescriptor`, or `timeoutMs` has passed; at most
   * 500 ms, so that a thread that calls it in a loop can always be ended. Calls no handler.
   */
  wait(timeoutMs: number): void {
    const { words, address } = this.#polled;
    words[0] = this.wakeDescriptor;
    words[1] = POLLIN;
    for (let i = 0; i < this.#ports.length; i++) {
      const { descriptor, congested } = this.#ports[i]!;
      words[(i + 1) * POLLFD_WORDS] = descriptor;
      words[(i + 1) * POLLFD_WORDS + 1] = congested ? POLLIN | POLLOUT : POLLIN;
    }
    const sleepMs = Math.max(0, Math.min(LONGEST_SLEEP_MS, Math.ceil(timeoutMs)));
    const ready = this.#libc.poll(address, this.#ports.length + 1, sleepMs);
    this.#found = ready > 0 ? this.#ports : [];
    if (ready > 0 && words[1]! >>> 16 !== 0) this.#libc.read(this.wakeDescriptor, this.#wakeCount.address, 8);
  }

  /**
   * Hands over what `wait` has found: for each port that has datagrams one system call and one burst, and `onDrain` for a port that was
   * congested. What is left makes the next `wait` return at once.
   */
  receive(): void {
    const ports = this.#found;
    this.#found = [];
    const { words } = this.#polled;
    for (let i = 0; i < ports.length; i++) {
      const found = words[(i + 1) * POLLFD_WORDS + 1]! >>> 16;
      if ((found & POLLOUT) !== 0) ports[i]!.resume();
      // Errors are told by receiving as well.
      if ((found & ~POLLOUT) !== 0) ports[i]!.receive(this.#receiver);
    }
  }

  /** Closes its ports and the eventfd. Nobody may write to `wakeDescriptor` any more: the number may soon be another file’s. */
  async close(): Promise<void> {
    await Promise.all(this.#ports.map((port) => port.close()));
    if (this.descriptors[0] === -1) return;
    this.descriptors[0] = -1;
    this.#libc.close(this.wakeDescriptor);
    this.#options.release?.(this.#receiver.burst.slab);
  }

  #remove(port: PollingPort): void {
    this.#ports = this.#ports.filter((other) => other !== port);
    this.descriptors[this.descriptors.indexOf(port.descriptor)] = -1;
  }
}

class PollingPort extends DescriptorPort {
  readonly #libc: Libc;
  readonly #onClosed: () => void;

  constructor(
    libc: Libc,
    opened: OpenedDescriptor,
    options: UdpPortOptions,
    handlers: UdpPortHandlers,
    onClosed: () => void,
  ) {
    super(libc, opened, TRANSMIT_SLOTS, options, handlers);
    this.#libc = libc;
    this.#onClosed = onClosed;
  }

  receive(receiver: Receiver): void {
    if (this.closed) return;
    const messages = receiver.receive(this);
    if (messages < 0) this.handleNothingReceived(-messages);
    else this.deliver(receiver);
  }

  protected override awaitRoom(): void {
    // `wait` asks for POLLOUT.
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.#onClosed();
    this.#libc.close(this.descriptor);
    this.releaseMemory();
  }
}
