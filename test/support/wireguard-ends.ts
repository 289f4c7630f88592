/**
 * Devices with their surroundings in a test's hands: a clock that is a number, a wall clock, datagrams that go nowhere until the
 * test delivers them, and the packets that came out.
 */

import { type Endpoint, ip, parsePrefix } from '../../src/core/base/address.ts';
import { Burst, TRANSPORT_HEADER_LENGTH } from '../../src/core/base/burst.ts';
import { setU16be } from '../../src/core/base/bytes.ts';
import type { Crypto } from '../../src/core/base/crypto.ts';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import {
  Device,
  type DeviceOptions,
  type DeviceOutput,
  type Peer,
  type PeerOptions,
} from '../../src/core/wireguard/device.ts';
import { tai64n } from '../../src/core/wireguard/timestamps.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';
import { SeededRandom } from './seeded-random.ts';

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly to: Endpoint;
}

export type DeviceEvent = Exclude<DeviceOutput, { readonly kind: 'datagram' }>;

export interface EndOptions {
  readonly seed?: number;
  readonly crypto?: Crypto;
  readonly endpoint: Endpoint;
  readonly privateKey?: Uint8Array;
  readonly device?: Partial<DeviceOptions>;
}

/** Unix seconds of virtual time 0. */
export const EPOCH_SECONDS = 1_790_000_000;

/** One device and everything around it. */
export class End {
  readonly random: SeededRandom;
  readonly endpoint: Endpoint;
  readonly privateKey: Uint8Array;
  readonly device: Device;
  /** Datagrams that want to be sent; `take` and `exchange` remove them. */
  readonly outbox: Datagram[] = [];
  readonly events: DeviceEvent[] = [];
  /** Inner packets that came out. */
  readonly inbox: Uint8Array[] = [];
  readonly senders: Peer[] = [];
  /** Milliseconds by which this end's wall clock is off; NaN makes it implausible. */
  wallOffsetMs = 0;
  now: Instant = instant(0);
  readonly #burst: Burst = new Burst(1, 65_536);
  readonly #received: Burst = new Burst(1, 65_536);

  constructor(options: EndOptions) {
    this.random = new SeededRandom(options.seed ?? 1);
    this.endpoint = options.endpoint;
    this.privateKey = options.privateKey ?? this.random.bytes(32);
    this.device = new Device(
      {
        privateKey: this.privateKey,
        crypto: options.crypto ?? nodeCrypto,
        random: this.random,
        timestamp: () => this.#timestamp(),
        ...options.device,
      },
      this.now,
    );
  }

  get publicKey(): Uint8Array {
    return this.device.publicKey;
  }

  addPeer(other: { readonly publicKey: Uint8Array }, options: Partial<PeerOptions> = {}): Peer {
    const peer = this.device.addPeer({ publicKey: other.publicKey, allowedIps: [], ...options }, this.now);
    this.drain();
    return peer;
  }

  /** Hands one datagram in, as a burst, and collects what comes out. */
  feed(bytes: Uint8Array, from: Endpoint | undefined): void {
    this.#received.clear();
    // Bytes of other packets lie behind it, as they do in a port's memory.
    this.#received.slab.fill(0xaa);
    if (!this.#received.append(bytes, from)) throw new Error(`no slot has room for ${bytes.length} bytes`);
    this.device.handleBurst(this.#received, this.now, this);
    this.drain();
  }

  /** Sends an inner packet; a sealed one goes to the outbox. */
  send(packet: Uint8Array): 'sent' | 'staged' | 'dropped' {
    this.#burst.clear();
    this.#burst.slab.fill(0xaa);
    this.#burst.slab.set(packet, this.#burst.nextSlot() + TRANSPORT_HEADER_LENGTH);
    const outcome = this.device.sendPacket(this.#burst, packet.length, this.now);
    for (let i = 0; i < this.#burst.count; i++)
      this.outbox.push({ bytes: Uint8Array.from(this.#burst.datagram(i)), to: this.#burst.endpoints[i]! });
    this.drain();
    return outcome;
  }

  /** Lets time pass to `now` in steps of the device's own timers. */
  advanceTo(now: number): void {
    for (let due = this.device.nextTimeout(); due !== undefined && due <= now; due = this.device.nextTimeout()) {
      if (due > this.now) this.now = due;
      this.device.handleTimeout(this.now);
      this.drain();
    }
    this.now = instant(now);
  }

  /** Jumps to `now` without serving timers in between, as a stalled event loop does. */
  stallUntil(now: number): void {
    this.now = instant(now);
  }

  /** The oldest datagram of the outbox. Throws if there is none. */
  take(): Uint8Array {
    const datagram = this.outbox.shift();
    if (!datagram) throw new Error('nothing was sent');
    return datagram.bytes;
  }

  handlePacket(bytes: Uint8Array, offset: number, length: number, _now: Instant, peer: Peer): void {
    this.inbox.push(bytes.slice(offset, offset + length));
    this.senders.push(peer);
  }

  drain(): void {
    for (let output = this.device.nextOutput(); output; output = this.device.nextOutput())
      if (output.kind === 'datagram') this.outbox.push(output);
      else this.events.push(output);
  }

  #timestamp(): Uint8Array | undefined {
    const wallMs = EPOCH_SECONDS * 1000 + this.now + this.wallOffsetMs;
    if (Number.isNaN(wallMs)) return undefined;
    return tai64n(Math.floor(wallMs / 1000), Math.floor((wallMs % 1000) * 1e6));
  }
}

export const A_OUTER: Endpoint = { address: ip('192.0.2.1'), port: 40_001 };
export const B_OUTER: Endpoint = { address: ip('198.51.100.2'), port: 51_820 };
export const A_INNER = '10.66.0.1';
export const B_INNER = '10.66.0.2';

export interface Pair {
  readonly a: End;
  readonly b: End;
  /** B as A sees it, and the other way round. */
  readonly toB: Peer;
  readonly toA: Peer;
}

export interface PairOptions {
  readonly seed?: number;
  readonly crypto?: Crypto;
  readonly a?: Partial<PeerOptions>;
  readonly b?: Partial<PeerOptions>;
  readonly deviceA?: Partial<DeviceOptions>;
  readonly deviceB?: Partial<DeviceOptions>;
}

/** A client A that knows B's endpoint, and a server B that learns A's. `options.a` is how A sees B. */
export function pair(options: PairOptions = {}): Pair {
  const seed = options.seed ?? 1;
  const crypto = options.crypto ?? nodeCrypto;
  const a = new End({ seed: 2 * seed, endpoint: A_OUTER, crypto, device: options.deviceA ?? {} });
  const b = new End({ seed: 2 * seed + 1, endpoint: B_OUTER, crypto, device: options.deviceB ?? {} });
  const toB = a.addPeer(b, { endpoint: B_OUTER, allowedIps: [net(`${B_INNER}/32`), net('fd00::2/128')], ...options.a });
  const toA = b.addPeer(a, { allowedIps: [net(`${A_INNER}/32`), net('fd00::1/128')], ...options.b });
  return { a, b, toB, toA };
}

/** A pair between which a session is confirmed, so that both may send. */
export function connectedPair(options: PairOptions = {}): Pair {
  const ends = pair(options);
  ends.a.device.initiate(ends.toB, ends.a.now);
  ends.a.drain();
  exchange(ends.a, ends.b);
  return ends;
}

/** Delivers every datagram in both directions until nothing more is sent. */
export function exchange(a: End, b: End): void {
  while (a.outbox.length + b.outbox.length > 0) {
    if (a.outbox.length > 0) b.feed(a.take(), a.endpoint);
    else a.feed(b.take(), b.endpoint);
  }
}

/** Lets time pass for both, delivering everything at once if `linked`. */
export function advance(a: End, b: End, to: number, linked: boolean = true): void {
  for (;;) {
    const due = Math.min(a.device.nextTimeout() ?? to, b.device.nextTimeout() ?? to, to);
    a.advanceTo(Math.max(a.now, due));
    b.advanceTo(Math.max(b.now, due));
    if (linked) exchange(a, b);
    if (due >= to) return;
  }
}

/** A network from its text. */
export function net(text: string): NonNullable<ReturnType<typeof parsePrefix>> {
  const parsed = parsePrefix(text);
  if (!parsed) throw new RangeError(`"text" expected a network, got ${text}`);
  return parsed;
}

/** An IPv4 or IPv6 packet with this payload; enough of a header for WireGuard, which looks at lengths and addresses alone. */
export function innerPacket(source: string, destination: string, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const [from, to] = [ip(source), ip(destination)];
  const header = from.family === 4 ? 20 : 40;
  const bytes = new Uint8Array(header + payload.length);
  bytes[0] = from.family === 4 ? 0x45 : 0x60;
  setU16be(bytes, from.family === 4 ? 2 : 4, from.family === 4 ? bytes.length : payload.length);
  bytes.set(from.bytes, header - 2 * from.bytes.length);
  bytes.set(to.bytes, header - to.bytes.length);
  bytes.set(payload, header);
  return bytes;
}

/** A packet from A to B that carries `text`. */
export function aToB(text: string): Uint8Array {
  return innerPacket(A_INNER, B_INNER, new TextEncoder().encode(text));
}

/** A packet from B to A that carries `text`. */
export function bToA(text: string): Uint8Array {
  return innerPacket(B_INNER, A_INNER, new TextEncoder().encode(text));
}

/** What packets made by `aToB` and `bToA` carry. */
export function texts(packets: readonly Uint8Array[]): string[] {
  return packets.map((packet) => new TextDecoder().decode(packet.subarray(20)));
}
