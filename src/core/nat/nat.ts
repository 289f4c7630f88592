/**
 * A network address and port translator for both families (NAPT of RFC 3022; NAT66 works the same way with 128 bits): hosts inside
 * share one public address per family. Behaviour after RFC 4787 (UDP), RFC 5382 (TCP) and RFC 5508 (ICMP): endpoint-independent
 * mapping, address- and port-dependent filtering, hairpinning, ICMP errors in both directions; a mapped port is open to everyone.
 *
 * Packets are translated where they stand. Not supported: fragments (counted and dropped), other protocols.
 */

import type { IpAddress } from '../base/address.ts';
import { u16be } from '../base/bytes.ts';
import type { Random } from '../base/crypto.ts';
import { DropCounter } from '../base/drops.ts';
import { after, earliest, type Instant } from '../base/instant.ts';
import { randomU32 } from '../base/random.ts';
import { icmpKind } from '../wire/icmp.ts';
import { type IpHeader, PROTOCOL_TCP } from '../wire/ip.ts';
import type { NatDrop } from './drops.ts';
import { translateErrorInbound, translateErrorOutbound } from './icmp-error.ts';
import { choosePort } from './ports.ts';
import {
  destinationPortOffset,
  isIcmp,
  rewriteDestination,
  rewriteSource,
  sourcePortOffset,
  transportHeaderLength,
} from './rewrite.ts';
import { type Binding, type InsideHost, key, NatTable, type Session } from './table.ts';
import { nextTcpState, sessionTimeoutMs } from './timeouts.ts';

export interface NatOptions {
  /** At most one address per family; a family without one is not translated. */
  readonly publicAddresses: readonly IpAddress[];
  readonly random: Random;
  /** Sessions of all hosts; default 65 536. */
  readonly maxSessions?: number;
  /** Sessions of one host inside; default 16 384. */
  readonly maxSessionsPerHost?: number;
}

/** A port of the public address that is forwarded to a port inside, whoever sends (full cone). */
export interface NatMapping {
  readonly protocol: number;
  readonly inside: IpAddress;
  readonly insidePort: number;
  readonly externalPort: number;
  readonly expiresAt: Instant;
}

/** Sweeps of the tables are this far apart, at least; expiry itself is checked at each use. */
const SWEEP_INTERVAL_MS = 1_000;

export class Nat {
  readonly drops: DropCounter<NatDrop> = new DropCounter();
  readonly #random: Random;
  readonly #maxSessions: number;
  readonly #maxSessionsPerHost: number;
  #public: { 4: IpAddress | undefined; 6: IpAddress | undefined };
  #tables: { 4: NatTable; 6: NatTable };
  #sweepAt: Instant | undefined;
  #sweptAt: Instant;

  constructor(options: NatOptions, now: Instant) {
    this.#random = options.random;
    this.#maxSessions = options.maxSessions ?? 65_536;
    this.#maxSessionsPerHost = options.maxSessionsPerHost ?? 16_384;
    this.#public = { 4: undefined, 6: undefined };
    for (const address of options.publicAddresses) this.#public[address.family] = address;
    this.#tables = this.#emptyTables();
    this.#sweptAt = now;
  }

  publicAddress(family: 4 | 6): IpAddress | undefined {
    return this.#public[family];
  }

  /** Whether the address at `offset` is one of the translator's own. */
  ownsAddress(bytes: Uint8Array, offset: number, family: 4 | 6): boolean {
    const address = this.#public[family]?.bytes;
    if (!address) return false;
    for (let i = 0; i < address.length; i++) if (bytes[offset + i] !== address[i]) return false;
    return true;
  }

  /** A new public address. Sessions over the old one are dead at once; mappings keep their ports on the new one. */
  setPublicAddress(address: IpAddress, now: Instant): void {
    const mappings = [...this.mappings(now)].filter(({ inside }) => inside.family === address.family);
    this.#public[address.family] = address;
    this.#tables[address.family] = new NatTable(address.family, randomU32(this.#random));
    for (const mapping of mappings) this.map(mapping, now);
  }

  /**
   * A packet from inside, parsed into `ip`, on its way out: translated in place, or the reason why it is dropped. One to our own
   * public address comes back as if from there (hairpin, RFC 4787 §6): afterwards its destination is a host inside.
   */
  outbound(bytes: Uint8Array, ip: IpHeader, now: Instant): NatDrop | undefined {
    return this.#counted(this.#outbound(bytes, ip, now));
  }

  /** A packet from outside to our public address, likewise. Afterwards its destination is a host inside. */
  inbound(bytes: Uint8Array, ip: IpHeader, now: Instant): NatDrop | undefined {
    return this.#counted(this.#inbound(bytes, ip, now));
  }

  /**
   * Forwards a public port to a port inside until `expiresAt`, or prolongs that. False, and nothing is changed, if the public port
   * already stands for something else.
   */
  map(mapping: NatMapping, now: Instant): boolean {
    const { protocol, inside, insidePort, externalPort, expiresAt } = mapping;
    if (!this.isFree(protocol, externalPort, inside, insidePort)) return false;
    const table = this.#tables[inside.family];
    const host = table.host(inside.bytes, 0) ?? table.addHost(inside.bytes, 0);
    const binding =
      table.external(protocol, externalPort) ?? table.addBinding(host, protocol, insidePort, externalPort);
    binding.mappedUntil = expiresAt;
    this.#sweepBy(expiresAt, now);
    return true;
  }

  /** Ends a mapping. Sessions that came over it go on; nobody new gets in. */
  unmap({ protocol, inside, externalPort }: NatMapping): void {
    const binding = this.#tables[inside.family].external(protocol, externalPort);
    if (binding) binding.mappedUntil = undefined;
  }

  *mappings(now: Instant): Iterable<NatMapping> {
    for (const table of [this.#tables[4], this.#tables[6]])
      for (const { protocol, host, insidePort, externalPort, mappedUntil } of table.bindings())
        if (mappedUntil !== undefined && mappedUntil > now)
          yield {
            protocol,
            inside: { family: host.address.length === 4 ? 4 : 6, bytes: host.address },
            insidePort,
            externalPort,
            expiresAt: mappedUntil,
          };
  }

  /** Whether a public port stands for nobody, or exactly for this port inside. */
  isFree(protocol: number, externalPort: number, inside: IpAddress, insidePort: number): boolean {
    const table = this.#tables[inside.family];
    const binding = table.external(protocol, externalPort);
    return !binding || (binding.host === table.host(inside.bytes, 0) && binding.insidePort === insidePort);
  }

  handleTimeout(now: Instant): void {
    if (this.#sweepAt !== undefined && this.#sweepAt <= now) this.#sweep(now);
  }

  nextTimeout(): Instant | undefined {
    return this.#sweepAt;
  }

  get sessionCount(): number {
    return this.#tables[4].sessionCount + this.#tables[6].sessionCount;
  }

  /** Forgets everything, as after a power cut. */
  reset(): void {
    this.#tables = this.#emptyTables();
    this.#sweepAt = undefined;
  }

  #outbound(bytes: Uint8Array, ip: IpHeader, now: Instant): NatDrop | undefined {
    const publicAddress = this.#public[ip.family];
    if (!publicAddress) return 'nat-no-address';
    const kind = translation(bytes, ip);
    if (kind !== 'session' && kind !== 'error') return kind;
    const table = this.#tables[ip.family];
    // Before the packet is touched: afterwards a packet that is refused would be half translated.
    const hairpin = this.ownsAddress(bytes, ip.destinationOffset, ip.family);
    if (kind === 'error') {
      const fault = translateErrorOutbound(bytes, ip, table, publicAddress.bytes, now);
      return fault ?? (hairpin ? this.#inbound(bytes, ip, now) : undefined);
    }
    const insidePort = u16be(bytes, sourcePortOffset(ip));
    const remotePort = isIcmp(ip.protocol) ? 0 : u16be(bytes, destinationPortOffset(ip));
    const host = table.host(bytes, ip.sourceOffset) ?? table.addHost(bytes, ip.sourceOffset);
    const binding = this.#bindingFor(table, host, bytes, ip, insidePort, remotePort, now);
    if (!binding) return 'nat-ports-exhausted';
    const session = table.session(binding, bytes, ip.destinationOffset, remotePort);
    const live = session ?? this.#newSession(table, binding, bytes, ip.destinationOffset, remotePort, now);
    if (!live) return 'nat-session-limit';
    this.#touch(live, bytes, ip, true, now);
    rewriteSource(bytes, ip, publicAddress.bytes, binding.externalPort);
    return hairpin ? this.#inbound(bytes, ip, now) : undefined;
  }

  #inbound(bytes: Uint8Array, ip: IpHeader, now: Instant): NatDrop | undefined {
    const kind = translation(bytes, ip);
    if (kind !== 'session' && kind !== 'error') return kind;
    const table = this.#tables[ip.family];
    if (kind === 'error') return translateErrorInbound(bytes, ip, table, now);
    const binding = table.external(ip.protocol, u16be(bytes, destinationPortOffset(ip)));
    if (!binding) return 'nat-no-binding';
    const remotePort = isIcmp(ip.protocol) ? 0 : u16be(bytes, sourcePortOffset(ip));
    let session = table.session(binding, bytes, ip.sourceOffset, remotePort);
    if (!session || session.expiresAt <= now) {
      if (binding.mappedUntil === undefined || binding.mappedUntil <= now) return 'nat-filtered';
      session ??= this.#newSession(table, binding, bytes, ip.sourceOffset, remotePort, now);
      if (!session) return 'nat-session-limit';
    }
    this.#touch(session, bytes, ip, false, now);
    rewriteDestination(bytes, ip, binding.host.address, binding.insidePort);
    return undefined;
  }

  /** The binding that already talks to this remote, else the newest of the inside port, else a new one. */
  #bindingFor(
    table: NatTable,
    host: InsideHost,
    bytes: Uint8Array,
    ip: IpHeader,
    insidePort: number,
    remotePort: number,
    now: Instant,
  ): Binding | undefined {
    const newest = host.bindings.get(key(ip.protocol, insidePort));
    if (!newest) {
      const port = choosePort(this.#random, (candidate) => table.external(ip.protocol, candidate) === undefined);
      return port === undefined ? undefined : table.addBinding(host, ip.protocol, insidePort, port);
    }
    if (!newest.older) return newest;
    for (let binding: Binding | undefined = newest; binding; binding = binding.older) {
      const session = table.session(binding, bytes, ip.destinationOffset, remotePort);
      if (session && session.expiresAt > now) return binding;
    }
    return newest;
  }

  #newSession(
    table: NatTable,
    binding: Binding,
    bytes: Uint8Array,
    remoteOffset: number,
    remotePort: number,
    now: Instant,
  ): Session | undefined {
    const full = (): boolean =>
      this.sessionCount >= this.#maxSessions || binding.host.sessions >= this.#maxSessionsPerHost;
    if (full() && now >= after(this.#sweptAt, SWEEP_INTERVAL_MS)) this.#sweep(now);
    return full() ? undefined : table.addSession(binding, bytes, remoteOffset, remotePort, now);
  }

  #touch(session: Session, bytes: Uint8Array, ip: IpHeader, fromInside: boolean, now: Instant): void {
    if (session.expiresAt <= now) session.tcpState = 0;
    if (ip.protocol === PROTOCOL_TCP)
      session.tcpState = nextTcpState(session.tcpState, bytes[ip.payloadOffset + 13]!, fromInside);
    session.expiresAt = after(now, sessionTimeoutMs(ip.protocol, session.tcpState));
    this.#sweepBy(session.expiresAt, now);
  }

  #sweepBy(at: Instant, now: Instant): void {
    const soonest = after(now, SWEEP_INTERVAL_MS);
    const wanted = at > soonest ? at : soonest;
    if (this.#sweepAt === undefined || wanted < this.#sweepAt) this.#sweepAt = wanted;
  }

  #sweep(now: Instant): void {
    this.#sweptAt = now;
    this.#sweepAt = undefined;
    const next = earliest(this.#tables[4].sweep(now), this.#tables[6].sweep(now));
    if (next !== undefined) this.#sweepBy(next, now);
  }

  #emptyTables(): { 4: NatTable; 6: NatTable } {
    return { 4: new NatTable(4, randomU32(this.#random)), 6: new NatTable(6, randomU32(this.#random)) };
  }

  #counted(fault: NatDrop | undefined): NatDrop | undefined {
    if (fault) this.drops.count(fault);
    return fault;
  }
}

/** How a packet is translated: as part of a session, as an error about one, or not at all. */
function translation(bytes: Uint8Array, ip: IpHeader): 'session' | 'error' | NatDrop {
  if (ip.fragmentOffset !== 0 || ip.moreFragments) return 'nat-fragment';
  const needed = transportHeaderLength(ip.protocol);
  if (needed === 0 || (isIcmp(ip.protocol) && (ip.protocol === 1) !== (ip.family === 4))) return 'nat-protocol';
  if (ip.payloadLength < needed) return 'nat-truncated';
  if (!isIcmp(ip.protocol)) return 'session';
  const kind = icmpKind(bytes, ip.payloadOffset, ip.family);
  if (kind === 'other') return 'nat-icmp-type';
  return kind === 'echo-request' || kind === 'echo-reply' ? 'session' : 'error';
}
