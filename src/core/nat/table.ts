/**
 * Who is translated to what. A host inside has *bindings*: one of its ports (or ICMP identifiers) to one public port, the same for
 * every destination (endpoint-independent mapping, RFC 4787 §4.1). A binding has *sessions*: the remote ends it has exchanged packets
 * with, which alone may send to it, unless the binding is mapped, that is, forwarded for everyone.
 *
 * Look-ups read addresses where they stand in a packet and allocate nothing.
 */

import type { Instant } from '../base/instant.ts';

export interface InsideHost {
  readonly address: Uint8Array;
  /** The binding to use for new sessions, by `key(protocol, inside port)`. */
  readonly bindings: Map<number, Binding>;
  sessions: number;
  /** The next host of the same hash. */
  next: InsideHost | undefined;
}

export interface Binding {
  readonly host: InsideHost;
  /** IP protocol number. */
  readonly protocol: number;
  readonly insidePort: number;
  readonly externalPort: number;
  /** First session of each hash; others follow by `next`. */
  readonly sessions: Map<number, Session>;
  /** Until when anyone outside may send to it; `undefined` if not mapped. */
  mappedUntil: Instant | undefined;
  /** A former binding of the same inside port whose sessions still live. */
  older: Binding | undefined;
}

export interface Session {
  readonly remote: Uint8Array;
  readonly remotePort: number;
  expiresAt: Instant;
  /** See `nextTcpState`. */
  tcpState: number;
  next: Session | undefined;
}

/** One number for a protocol and a port. */
export function key(protocol: number, port: number): number {
  return (protocol << 16) | port;
}

/** Hosts, bindings and sessions of one address family. */
export class NatTable {
  readonly #addressLength: number;
  readonly #seed: number;
  readonly #hosts: Map<number, InsideHost> = new Map();
  readonly #externals: Map<number, Binding> = new Map();
  sessionCount = 0;

  /** `seed` keeps the order of hashes from whoever chooses addresses. */
  constructor(family: 4 | 6, seed: number) {
    this.#addressLength = family === 4 ? 4 : 16;
    this.#seed = seed;
  }

  /** The host whose address stands at `offset`. */
  host(bytes: Uint8Array, offset: number): InsideHost | undefined {
    let host = this.#hosts.get(this.#hash(bytes, offset, 0));
    while (host && !this.#equal(host.address, bytes, offset)) host = host.next;
    return host;
  }

  addHost(bytes: Uint8Array, offset: number): InsideHost {
    const hash = this.#hash(bytes, offset, 0);
    const address = bytes.slice(offset, offset + this.#addressLength);
    const host: InsideHost = { address, bindings: new Map(), sessions: 0, next: this.#hosts.get(hash) };
    this.#hosts.set(hash, host);
    return host;
  }

  external(protocol: number, port: number): Binding | undefined {
    return this.#externals.get(key(protocol, port));
  }

  /** The public port must be free. The new binding is the one that new sessions of its inside port use. */
  addBinding(host: InsideHost, protocol: number, insidePort: number, externalPort: number): Binding {
    const insideKey = key(protocol, insidePort);
    const older = host.bindings.get(insideKey);
    const sessions = new Map<number, Session>();
    const binding: Binding = { host, protocol, insidePort, externalPort, sessions, mappedUntil: undefined, older };
    host.bindings.set(insideKey, binding);
    this.#externals.set(key(protocol, externalPort), binding);
    return binding;
  }

  /** The session of a binding with the remote end that stands in `bytes`; one that has expired is still there until `sweep`. */
  session(binding: Binding, bytes: Uint8Array, remoteOffset: number, remotePort: number): Session | undefined {
    let session = binding.sessions.get(this.#hash(bytes, remoteOffset, remotePort));
    while (session && !(session.remotePort === remotePort && this.#equal(session.remote, bytes, remoteOffset)))
      session = session.next;
    return session;
  }

  addSession(binding: Binding, bytes: Uint8Array, remoteOffset: number, remotePort: number, now: Instant): Session {
    const hash = this.#hash(bytes, remoteOffset, remotePort);
    const remote = bytes.slice(remoteOffset, remoteOffset + this.#addressLength);
    const session: Session = { remote, remotePort, expiresAt: now, tcpState: 0, next: binding.sessions.get(hash) };
    binding.sessions.set(hash, session);
    binding.host.sessions++;
    this.sessionCount++;
    return session;
  }

  /** Drops what has expired and returns when the next one will, at the earliest. */
  sweep(now: Instant): Instant | undefined {
    let next: Instant | undefined;
    for (const [hash, binding] of this.#externals) {
      const expiry = this.#sweepSessions(binding, now);
      if (binding.mappedUntil !== undefined && binding.mappedUntil <= now) binding.mappedUntil = undefined;
      for (const at of [expiry, binding.mappedUntil])
        if (at !== undefined && (next === undefined || at < next)) next = at;
      if (binding.sessions.size > 0 || binding.mappedUntil !== undefined) continue;
      this.#externals.delete(hash);
      unlink(binding);
    }
    for (const [hash, first] of this.#hosts) {
      const rest = withoutEmpty(first);
      if (rest) this.#hosts.set(hash, rest);
      else this.#hosts.delete(hash);
    }
    return next;
  }

  /** Every binding, mapped ones included. */
  bindings(): Iterable<Binding> {
    return this.#externals.values();
  }

  #sweepSessions(binding: Binding, now: Instant): Instant | undefined {
    let next: Instant | undefined;
    for (const [hash, first] of binding.sessions) {
      let kept: Session | undefined;
      for (let session: Session | undefined = first; session; ) {
        const following: Session | undefined = session.next;
        if (session.expiresAt > now) {
          session.next = kept;
          kept = session;
          if (next === undefined || session.expiresAt < next) next = session.expiresAt;
        } else {
          binding.host.sessions--;
          this.sessionCount--;
        }
        session = following;
      }
      if (kept) binding.sessions.set(hash, kept);
      else binding.sessions.delete(hash);
    }
    return next;
  }

  #equal(address: Uint8Array, bytes: Uint8Array, offset: number): boolean {
    for (let i = 0; i < this.#addressLength; i++) if (address[i] !== bytes[offset + i]) return false;
    return true;
  }

  /** FNV-1a over the address, then the port. */
  #hash(bytes: Uint8Array, offset: number, port: number): number {
    let hash = this.#seed;
    for (let i = 0; i < this.#addressLength; i++) hash = Math.imul(hash ^ bytes[offset + i]!, 0x0100_0193);
    return Math.imul(hash ^ port, 0x0100_0193);
  }
}

/** Takes a binding out of its host's list of bindings of one inside port. */
function unlink(binding: Binding): void {
  const insideKey = key(binding.protocol, binding.insidePort);
  const newest = binding.host.bindings.get(insideKey);
  if (newest === binding) {
    if (binding.older) binding.host.bindings.set(insideKey, binding.older);
    else binding.host.bindings.delete(insideKey);
    return;
  }
  for (let at = newest; at; at = at.older) if (at.older === binding) at.older = binding.older;
}

function withoutEmpty(host: InsideHost | undefined): InsideHost | undefined {
  if (!host) return undefined;
  host.next = withoutEmpty(host.next);
  return host.bindings.size > 0 ? host : host.next;
}
