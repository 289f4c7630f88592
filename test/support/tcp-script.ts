/**
 * Packet scripts for one TCP: what the peer sends at an instant, and what ours must send at an instant. Sequence numbers are relative
 * to the two initial ones, so that 1 is the first byte of a stream; timestamps of ours are relative to the instant 0.
 */
import { expect as assert } from 'vitest';
import { type IpAddress, ip } from '../../src/core/base/address.ts';
import { setU16be } from '../../src/core/base/bytes.ts';
import type { Random } from '../../src/core/base/crypto.ts';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import type { SocketCommand, SocketEvent } from '../../src/core/netstack/messages.ts';
import { PortAllocator } from '../../src/core/netstack/ports.ts';
import type { TcpHost } from '../../src/core/netstack/tcp/host.ts';
import type { TcpSettings } from '../../src/core/netstack/tcp/settings.ts';
import { Tcp } from '../../src/core/netstack/tcp/tcp.ts';
import { checksum, pseudoHeaderSum, sum } from '../../src/core/wire/checksum.ts';
import { ipHeader, PROTOCOL_TCP } from '../../src/core/wire/ip.ts';
import { parseIpPacket } from '../../src/core/wire/ip-packet.ts';
import {
  parseTcp,
  TcpSegment,
  writeSackBlocks,
  writeSynOptions,
  writeTcpHeader,
  writeTimestamps,
} from '../../src/core/wire/tcp.ts';
import { seededRandom } from './tcp-simulation.ts';

const FLAGS = 'FSRPA';

export interface ScriptSegment {
  /** Letters of FSRPA, in any order. */
  readonly flags: string;
  readonly seq?: number;
  readonly ack?: number;
  /** Payload of pattern bytes. */
  readonly length?: number;
  readonly window?: number;
  readonly mss?: number;
  readonly scale?: number;
  readonly sackOk?: boolean;
  /** Value and echo. */
  readonly ts?: readonly [number, number];
  readonly sack?: readonly (readonly [number, number])[];
}

/** A segment ours has sent, and when. */
export interface SentSegment {
  readonly at: number;
  readonly flags: string;
  readonly seq: number;
  readonly ack: number;
  readonly length: number;
  readonly window: number;
  readonly mss: number;
  readonly scale: number;
  readonly sackOk: boolean;
  readonly ts: readonly [number, number] | undefined;
  readonly sack: readonly (readonly [number, number])[];
  readonly payload: Uint8Array;
  readonly remotePort: number;
}

export interface ScriptOptions {
  readonly settings?: Partial<TcpSettings>;
  readonly family?: 4 | 6;
  readonly mtu?: number;
  readonly seed?: number;
  readonly start?: number;
}

/** Byte `n` of the peer's stream, counted from 0. */
export function streamByte(n: number): number {
  return (n * 31 + (n >>> 8)) & 255;
}

export class Script implements TcpHost {
  readonly random: Random;
  readonly ports: PortAllocator;
  readonly tcp: Tcp;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly drops: Map<string, number> = new Map();
  readonly events: SocketEvent[] = [];
  now: number;
  /** Initial sequence numbers: ours is learned from our SYN. */
  ourInitial = 0;
  theirInitial = 0x7fff_ff00;
  localPort = 80;
  remotePort = 5000;
  /** Added to our timestamps so that the instant 0 is 0; learned from our SYN. */
  clockOffset = 0;
  /** Shift of the windows we announce; learned from our SYN. */
  windowShift = 0;
  /** Timestamps of the peer go with every segment once the handshake had them. */
  timestamps = false;
  readonly lowered: number[] = [];
  /** Packets sent that are not TCP. */
  readonly icmp: Uint8Array[] = [];
  /** Everything sent and not looked at yet. */
  readonly sent: SentSegment[] = [];
  /** No more packets of ours leave at once, as where the machine has no time for more. */
  packetsAtOnce: number = Number.POSITIVE_INFINITY;
  readonly #buffer: Uint8Array = new Uint8Array(2048);
  readonly #family: 4 | 6;
  #mtu: number;

  constructor(options: ScriptOptions = {}) {
    this.#family = options.family ?? 4;
    this.random = seededRandom(options.seed ?? 7);
    this.ports = new PortAllocator(this.random);
    this.local = ip(this.#family === 4 ? '10.2.0.2' : 'fd00::2');
    this.remote = ip(this.#family === 4 ? '198.51.100.7' : '2001:db8::7');
    this.#mtu = options.mtu ?? 1420;
    this.now = options.start ?? 0;
    this.tcp = new Tcp(this, options.settings ?? {}, instant(this.now));
  }

  // TcpHost.
  get mtu(): number {
    return this.#mtu;
  }
  set mtu(mtu: number) {
    this.#mtu = mtu;
    this.tcp.handleMtu();
  }
  emit(event: SocketEvent): void {
    this.events.push(event);
  }
  count(reason: string): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
  }
  localAddressFor(remote: IpAddress): IpAddress | undefined {
    return remote.family === this.#family ? this.local : undefined;
  }
  mtuFor(): number {
    return Math.min(this.mtu, ...this.lowered);
  }
  lowerMtu(_remote: IpAddress, mtu: number): void {
    this.lowered.push(mtu);
  }
  suspectBlackHole(): void {}

  get time(): Instant {
    return instant(this.now);
  }

  /** Lets time pass up to `t`; timers fire at their own moments. */
  at(t: number): this {
    assert(t, 'time goes forward').toBeGreaterThanOrEqual(this.now);
    for (let next = this.tcp.nextTimeout(); next !== undefined && next <= t; next = this.tcp.nextTimeout()) {
      this.now = Math.max(this.now, next);
      this.tcp.handleTimeout(this.time);
      const after = this.tcp.nextTimeout();
      if (after !== undefined && after <= this.now) throw new Error(`no progress at ${this.now}`);
      this.drain();
    }
    this.now = t;
    return this;
  }

  command(t: number, command: SocketCommand): this {
    this.at(t);
    this.tcp.handleCommand(command, this.time);
    this.drain();
    return this;
  }

  /** The peer's segments arrive at `t`, as one burst. */
  inject(t: number, ...segments: ScriptSegment[]): this {
    this.at(t);
    for (const segment of segments) this.feed(this.build(segment));
    this.tcp.endBurst(this.time);
    this.drain();
    return this;
  }

  /** As `inject` without the end of the burst. */
  feed(packet: Uint8Array): void {
    const header = ipHeader();
    const fault = parseIpPacket(packet, 0, packet.length, header);
    if (fault) throw new Error(fault);
    if (this.tcp.handlePlain(packet, 0, packet.length, this.time)) return;
    const { payloadOffset, payloadLength, family, sourceOffset, destinationOffset } = header;
    this.tcp.handleSegment(packet, payloadOffset, payloadLength, family, sourceOffset, destinationOffset, this.time);
  }

  /** The next segment we sent must have gone at `t` and have the fields given. */
  expect(t: number, fields: Partial<SentSegment>): SentSegment {
    this.at(Math.max(t, this.now));
    const sent = this.sent.shift();
    if (!sent) throw new Error(`nothing sent, expected ${JSON.stringify(fields)} at ${t}`);
    assert({ ...sent, at: Math.round(sent.at * 10) / 10 }).toMatchObject({ ...fields, at: t });
    return sent;
  }

  /** Nothing is sent up to `t`. */
  expectNothing(t: number): this {
    this.at(t);
    assert(this.sent).toEqual([]);
    return this;
  }

  /** Everything sent and not looked at. */
  take(): SentSegment[] {
    return this.sent.splice(0);
  }

  /** Events since the last time. */
  takeEvents(): SocketEvent[] {
    return this.events.splice(0);
  }

  drain(): void {
    for (let packets = 0; packets < this.packetsAtOnce; packets++) {
      const length = this.tcp.nextPacket(this.#buffer, 0, this.time);
      if (length === 0) return;
      if (this.#buffer[this.#family === 4 ? 9 : 6] !== PROTOCOL_TCP) this.icmp.push(this.#buffer.slice(0, length));
      else this.sent.push(this.#read(this.#buffer.slice(0, length)));
    }
  }

  /** The IP packet of one of the peer's segments. */
  build(segment: ScriptSegment, from: number = this.remotePort, to: number = this.localPort): Uint8Array {
    const bytes = new Uint8Array(2048);
    const ipSize = this.#family === 4 ? 20 : 40;
    let options = 0;
    const at = ipSize + 20;
    if (segment.mss !== undefined)
      options += writeSynOptions(bytes, at, segment.mss, segment.scale ?? -1, segment.sackOk ?? false);
    const ts = segment.ts ?? (this.timestamps ? [Math.floor(this.now) + 1000, 0] : undefined);
    if (ts) {
      writeTimestamps(bytes, at + options, ts[0]!, ts[1] === 0 ? 0 : ts[1]! + this.clockOffset);
      options += 12;
    }
    if (segment.sack) {
      const starts = Int32Array.from(segment.sack, ([start]) => start + this.ourInitial);
      const ends = Int32Array.from(segment.sack, ([, end]) => end + this.ourInitial);
      options += writeSackBlocks(bytes, at + options, segment.sack.length, starts, ends);
    }
    const length = segment.length ?? 0;
    const seq = segment.seq ?? 1;
    for (let i = 0; i < length; i++) bytes[at + options + i] = streamByte(seq - 1 + i);
    let flags = 0;
    for (const letter of segment.flags) flags |= [1, 2, 4, 8, 16][FLAGS.indexOf(letter)]!;
    const ack = segment.flags.includes('A') ? (segment.ack ?? 1) + this.ourInitial : 0;
    writeTcpHeader(bytes, ipSize, from, to, seq + this.theirInitial, ack, flags, segment.window ?? 65_535, options);
    return this.finish(bytes, 20 + options + length);
  }

  /** Writes the IP header before a TCP segment of `length` bytes, and its checksum. */
  finish(bytes: Uint8Array, length: number): Uint8Array {
    const v4 = this.#family === 4;
    const ipSize = v4 ? 20 : 40;
    const [source, destination] = [this.remote.bytes, this.local.bytes];
    setU16be(bytes, ipSize + 16, 0);
    const pseudo = pseudoHeaderSum(source, 0, destination, 0, source.length, 6, length);
    setU16be(bytes, ipSize + 16, checksum(sum(bytes, ipSize, length, pseudo)));
    bytes.set(source, v4 ? 12 : 8);
    bytes.set(destination, v4 ? 16 : 24);
    if (v4) {
      bytes.set([0x45, 0, (ipSize + length) >>> 8, ipSize + length, 0, 0, 0x40, 0, 64, 6, 0, 0], 0);
      setU16be(bytes, 10, checksum(sum(bytes, 0, 20)));
    } else bytes.set([0x60, 0, 0, 0, length >>> 8, length, 6, 64], 0);
    return bytes.slice(0, ipSize + length);
  }

  #read(packet: Uint8Array): SentSegment {
    const header = ipHeader();
    const fault = parseIpPacket(packet, 0, packet.length, header);
    assert(fault, 'our packet is well formed').toBeUndefined();
    assert(packet.length, 'our packet fits the MTU').toBeLessThanOrEqual(this.mtu);
    const { payloadOffset, payloadLength, sourceOffset, destinationOffset } = header;
    const size = this.#family === 4 ? 4 : 16;
    const pseudo = pseudoHeaderSum(packet, sourceOffset, packet, destinationOffset, size, 6, payloadLength);
    assert(checksum(sum(packet, payloadOffset, payloadLength, pseudo)), 'our checksum').toBe(0);
    const segment = new TcpSegment();
    assert(parseTcp(packet, payloadOffset, payloadLength, segment)).toBe(true);
    let flags = '';
    for (let i = 0; i < FLAGS.length; i++) if ((segment.flags & [1, 2, 4, 8, 16][i]!) !== 0) flags += FLAGS[i];
    if (flags.includes('S')) {
      this.ourInitial = segment.sequence;
      this.localPort = segment.sourcePort;
      this.windowShift = Math.max(0, segment.windowScale);
      if (segment.hasTimestamps) this.clockOffset = (segment.timestampValue - Math.floor(this.now)) | 0;
    }
    const relative = (value: number): number => (value - this.ourInitial) | 0;
    const theirs = (value: number): number => (value - this.theirInitial) | 0;
    return {
      at: this.now,
      flags,
      seq: relative(segment.sequence),
      ack: flags.includes('A') || flags.includes('R') ? theirs(segment.acknowledgement) : 0,
      length: segment.payloadLength,
      window: segment.window,
      mss: segment.maximumSegmentSize,
      scale: segment.windowScale,
      sackOk: segment.sackPermitted,
      ts: segment.hasTimestamps ? [(segment.timestampValue - this.clockOffset) | 0, segment.timestampEcho] : undefined,
      sack: Array.from({ length: segment.sackBlocks }, (_, i) => [
        theirs(segment.sackStart[i]!),
        theirs(segment.sackEnd[i]!),
      ]),
      payload: packet.slice(segment.payloadOffset, segment.payloadOffset + segment.payloadLength),
      remotePort: segment.destinationPort,
    };
  }
}

export interface EstablishedOptions extends ScriptOptions {
  /** Options of the peer's SYN; timestamps and SACK are on unless false. */
  readonly ts?: boolean;
  readonly sackOk?: boolean;
  readonly mss?: number;
  readonly scale?: number;
  readonly window?: number;
  /** Between our SYN and the peer's answer. */
  readonly rttMs?: number;
}

export const SOCKET = 1;

/**
 * A connection we opened at 0 and that is established at `rttMs` (10): its SYN and ACK are behind us. The peer's timestamps begin at
 * 1000 and tick with the time.
 */
export function established(options: EstablishedOptions = {}): Script {
  const script = new Script(options);
  const { ts = true, sackOk = true, mss = 1380, scale = 0, window = 65_535, rttMs = 10 } = options;
  const start = script.now;
  script.command(start, {
    kind: 'tcp-connect',
    socket: SOCKET,
    to: { address: script.remote, port: script.remotePort },
  });
  script.expect(start, { flags: 'S' });
  script.timestamps = ts;
  script.inject(start + rttMs, {
    flags: 'SA',
    seq: 0,
    ack: 1,
    mss,
    scale,
    sackOk,
    window,
    ...(ts ? { ts: [1000 + start + rttMs, start] as const } : {}),
  });
  script.expect(start + rttMs, { flags: 'A', seq: 1, ack: 1 });
  script.takeEvents();
  return script;
}

/** A listener on port 80, socket 1, at 0. */
export function listening(options: ScriptOptions & { readonly backlog?: number } = {}): Script {
  const script = new Script(options);
  script.command(script.now, { kind: 'tcp-listen', socket: SOCKET, port: 80, backlog: options.backlog ?? 128 });
  return script;
}

/** Bytes of all `tcp-data` events in a list, checked against the peer's stream from byte `position` on. */
export function dataLength(events: readonly SocketEvent[], position = 0): number {
  let at = position;
  for (const event of events) {
    if (event.kind !== 'tcp-data') continue;
    for (const byte of event.bytes) {
      if (byte !== streamByte(at)) throw new Error(`stream differs at ${at}`);
      at++;
    }
  }
  return at - position;
}
