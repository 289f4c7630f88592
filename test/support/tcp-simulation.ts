/**
 * Two of our TCP stacks with a link between them, in virtual time: rate, delay, a bounded queue, loss, reordering and duplication,
 * all drawn from one seed. Nothing here waits; a minute of traffic takes as long as its packets need to be processed.
 */
import { type IpAddress, ip } from '../../src/core/base/address.ts';
import type { Random } from '../../src/core/base/crypto.ts';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import type { SocketEvent } from '../../src/core/netstack/messages.ts';
import { PortAllocator } from '../../src/core/netstack/ports.ts';
import type { TcpHost } from '../../src/core/netstack/tcp/host.ts';
import type { TcpSettings } from '../../src/core/netstack/tcp/settings.ts';
import { Tcp } from '../../src/core/netstack/tcp/tcp.ts';
import { ipHeader, PROTOCOL_TCP } from '../../src/core/wire/ip.ts';
import { parseIpPacket } from '../../src/core/wire/ip-packet.ts';

/** Numbers in [0, 1) from a seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export function seededRandom(seed: number): Random {
  const next = seeded(seed);
  return {
    fill: (target) => {
      for (let i = 0; i < target.length; i++) target[i] = next() * 256;
    },
  };
}

export interface LinkOptions {
  /** Bits per second of IP packets; Infinity: no limit. */
  readonly rate?: number;
  /** One way, in milliseconds. */
  readonly delayMs?: number;
  /** Bytes that may wait for the link; more is lost. */
  readonly queueBytes?: number;
  readonly loss?: number;
  /** Share of packets that are held back by up to `reorderMs`. */
  readonly reorder?: number;
  readonly reorderMs?: number;
  readonly duplicate?: number;
  /** Arrivals are seen at multiples of this, as bursts. */
  readonly burstMs?: number;
}

interface Arrival {
  readonly at: number;
  readonly order: number;
  readonly to: Host;
  readonly packet: Uint8Array;
}

/** One end: a stack, and what it told its embedder. */
export class Host implements TcpHost {
  readonly address: IpAddress;
  readonly random: Random;
  readonly ports: PortAllocator;
  readonly tcp: Tcp;
  readonly drops: Map<string, number> = new Map();
  mtu: number;
  /** Called with each event, after the call or burst that led to it. */
  onEvent: (event: SocketEvent) => void = () => {};
  readonly #events: SocketEvent[] = [];
  #lastSocket = 0;

  constructor(address: string, seed: number, settings: Partial<TcpSettings>, mtu = 1420) {
    this.address = ip(address);
    this.random = seededRandom(seed);
    this.ports = new PortAllocator(this.random);
    this.mtu = mtu;
    this.tcp = new Tcp(this, settings, instant(0));
  }

  emit(event: SocketEvent): void {
    this.#events.push(event);
  }
  count(reason: string): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
  }
  localAddressFor(remote: IpAddress): IpAddress | undefined {
    return remote.family === this.address.family ? this.address : undefined;
  }
  mtuFor(): number {
    return this.mtu;
  }
  lowerMtu(_remote: IpAddress, mtu: number): void {
    this.mtu = mtu;
    this.tcp.handleMtu();
  }
  suspectBlackHole(): void {}
  nextSocket(): number {
    return ++this.#lastSocket;
  }
  deliverEvents(): void {
    for (let event = this.#events.shift(); event; event = this.#events.shift()) this.onEvent(event);
  }
}

export class Simulation {
  readonly a: Host;
  readonly b: Host;
  now: number = 0;
  /** Sees every packet as it is sent, before the link; false loses it. */
  filter: (packet: Uint8Array, from: Host) => boolean = () => true;
  packets = 0;
  lost = 0;
  /** Of those the full ones. */
  dataPackets = 0;
  lostData = 0;
  readonly #links: Map<Host, { options: LinkOptions; freeAt: number }> = new Map();
  readonly #random: () => number;
  readonly #arrivals: Arrival[] = [];
  readonly #buffer: Uint8Array = new Uint8Array(65_536);
  readonly #header = ipHeader();
  #order = 0;

  constructor(options: {
    readonly seed?: number;
    readonly aToB?: LinkOptions;
    readonly bToA?: LinkOptions;
    readonly settingsA?: Partial<TcpSettings>;
    readonly settingsB?: Partial<TcpSettings>;
    readonly family?: 4 | 6;
    /** Instant at which the simulation begins. */
    readonly start?: number;
  }) {
    const seed = options.seed ?? 1;
    this.#random = seeded(seed);
    this.now = options.start ?? 0;
    const six = options.family === 6;
    this.a = new Host(six ? 'fd00::1' : '10.0.0.1', seed + 1000, options.settingsA ?? {});
    this.b = new Host(six ? 'fd00::2' : '10.0.0.2', seed + 2000, options.settingsB ?? {});
    this.#links.set(this.a, { options: options.aToB ?? {}, freeAt: 0 });
    this.#links.set(this.b, { options: options.bToA ?? {}, freeAt: 0 });
  }

  get time(): Instant {
    return instant(this.now);
  }

  /** Lets a host act (connect, write, close), then sends what it has to send. */
  act(host: Host, action: (tcp: Tcp, now: Instant) => void): void {
    action(host.tcp, this.time);
    this.#drain(host);
  }

  /** Runs until nothing is left to do or `until` returns true, at most to `limitMs`. Returns the time. */
  run(limitMs: number, until: () => boolean = () => false): number {
    while (!until()) {
      const next = this.#nextTime();
      if (next > limitMs) {
        this.now = Math.max(this.now, Number.isFinite(limitMs) ? limitMs : this.now);
        break;
      }
      this.now = Math.max(this.now, next);
      this.#step();
    }
    return this.now;
  }

  #nextTime(): number {
    const arrival = this.#arrivals[0]?.at ?? Number.POSITIVE_INFINITY;
    const a = this.a.tcp.nextTimeout() ?? Number.POSITIVE_INFINITY;
    const b = this.b.tcp.nextTimeout() ?? Number.POSITIVE_INFINITY;
    return Math.min(arrival, a, b);
  }

  #step(): void {
    const bursts: Set<Host> = new Set();
    while (this.#arrivals.length > 0 && this.#arrivals[0]!.at <= this.now) {
      const { to, packet } = this.#pop();
      bursts.add(to);
      this.#hand(to, packet);
    }
    for (const host of bursts) {
      host.tcp.endBurst(this.time);
      this.#drain(host);
    }
    for (const host of [this.a, this.b]) {
      const timeout = host.tcp.nextTimeout();
      if (timeout === undefined || timeout > this.now) continue;
      host.tcp.handleTimeout(this.time);
      const next = host.tcp.nextTimeout();
      if (next !== undefined && next <= this.now) throw new Error(`no progress: timeout ${next} at ${this.now}`);
      this.#drain(host);
    }
  }

  #hand(host: Host, packet: Uint8Array): void {
    const header = this.#header;
    const fault = parseIpPacket(packet, 0, packet.length, header);
    if (fault) throw new Error(`our own packet is not one: ${fault}`);
    if (header.protocol !== PROTOCOL_TCP) return;
    if (host.tcp.handlePlain(packet, 0, packet.length, this.time)) return;
    const { payloadOffset, payloadLength, family, sourceOffset, destinationOffset } = header;
    host.tcp.handleSegment(packet, payloadOffset, payloadLength, family, sourceOffset, destinationOffset, this.time);
  }

  /** Events may lead to commands, commands to packets and events. */
  #drain(host: Host): void {
    host.deliverEvents();
    for (;;) {
      const length = host.tcp.nextPacket(this.#buffer, 0, this.time);
      if (length === 0) break;
      this.#transmit(host, this.#buffer.slice(0, length));
    }
    host.deliverEvents();
    for (let length = 1; length > 0; ) {
      length = host.tcp.nextPacket(this.#buffer, 0, this.time);
      if (length > 0) this.#transmit(host, this.#buffer.slice(0, length));
    }
  }

  #transmit(from: Host, packet: Uint8Array): void {
    if (packet.length > from.mtu) throw new Error(`packet of ${packet.length} bytes, MTU ${from.mtu}`);
    this.packets++;
    if (packet.length > 1000) this.dataPackets++;
    const link = this.#links.get(from)!;
    const { rate = Number.POSITIVE_INFINITY, delayMs = 0, queueBytes = Number.POSITIVE_INFINITY } = link.options;
    const { loss = 0, reorder = 0, reorderMs = 0, duplicate = 0, burstMs = 0 } = link.options;
    const start = Math.max(this.now, link.freeAt);
    const unlucky = !this.filter(packet, from) || (loss > 0 && this.#random() < loss);
    if (unlucky || ((start - this.now) * rate) / 8000 > queueBytes) {
      this.lost++;
      if (packet.length > 1000) this.lostData++;
      return;
    }
    link.freeAt = start + (packet.length * 8000) / rate;
    const to = from === this.a ? this.b : this.a;
    const copies = duplicate > 0 && this.#random() < duplicate ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const held = reorder > 0 && this.#random() < reorder ? this.#random() * reorderMs : 0;
      const at = link.freeAt + delayMs + held;
      this.#push({ at: burstMs > 0 ? Math.ceil(at / burstMs) * burstMs : at, order: this.#order++, to, packet });
    }
  }

  #push(arrival: Arrival): void {
    const heap = this.#arrivals;
    let index = heap.length;
    heap.push(arrival);
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (!before(arrival, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = arrival;
  }

  #pop(): Arrival {
    const heap = this.#arrivals;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function before(a: Arrival, b: Arrival): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
