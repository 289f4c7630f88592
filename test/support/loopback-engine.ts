/**
 * An engine without TCP: hosts in memory whose sockets are joined directly. It plays the seam strictly (credit is enforced both
 * ways, bytes are copied in `post`, what was lent is overwritten, events never come from within `post`) and delivers in bursts, as a real engine does.
 */

import { formatIp, type IpAddress, ip, sameIp } from '../../src/core/base/address.ts';
import type {
  ResolveErrorCode,
  ResolveResult,
  SocketAddress,
  SocketCommand,
  SocketErrorCode,
  SocketEvent,
  TcpConnect,
  UdpBind,
} from '../../src/core/netstack/messages.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import { LoopbackStream, SEND_BUFFER } from './loopback-stream.ts';

interface Port {
  readonly socket: number;
  readonly address: IpAddress | undefined;
}

/** Hosts, names, and what does not answer. */
export class LoopbackNetwork {
  readonly names: Map<string, readonly string[] | ResolveErrorCode> = new Map();
  /** Addresses that swallow everything. */
  readonly silent: Set<string> = new Set();
  readonly #hosts: LoopbackEngine[] = [];

  host(...addresses: string[]): LoopbackEngine {
    const engine = new LoopbackEngine(this, addresses.map(ip));
    this.#hosts.push(engine);
    return engine;
  }

  hostOf(address: IpAddress): LoopbackEngine | undefined {
    return this.#hosts.find((host) => host.addresses.some((own) => sameIp(own, address)));
  }
}

export class LoopbackEngine implements EnginePort {
  onEvent: (event: SocketEvent) => void = () => {};
  readonly addresses: readonly IpAddress[];
  /** Every command, by kind, in order of arrival. */
  readonly log: SocketCommand['kind'][] = [];
  readonly streams: Map<number, LoopbackStream> = new Map();
  readonly #network: LoopbackNetwork;
  readonly #listeners = new Map<number, Port>();
  readonly #udp = new Map<string, Port>();
  readonly #used = new Set<number>();
  readonly #lent = new Set<number>();
  #events: SocketEvent[] = [];
  #nextAccepted = -1;
  #nextPort = 40_000;
  #posting = false;

  constructor(network: LoopbackNetwork, addresses: readonly IpAddress[]) {
    this.#network = network;
    this.addresses = addresses;
  }

  post(command: SocketCommand): void {
    this.log.push(command.kind);
    this.#posting = true;
    this.#handle(command);
    this.#posting = false;
  }

  /** Queues an event; all that are queued come in one burst, credit for one socket as one event. */
  emit(event: SocketEvent): void {
    const last = this.#events.at(-1);
    if (event.kind === 'tcp-write-credit' && last?.kind === 'tcp-write-credit' && last.socket === event.socket) {
      this.#events[this.#events.length - 1] = { ...event, bytes: last.bytes + event.bytes };
      return;
    }
    this.#events.push(event);
    if (this.#events.length > 1) return;
    setImmediate(() => {
      if (this.#posting) throw new Error('an event was delivered from within post');
      const events = this.#events;
      this.#events = [];
      for (const each of events) {
        this.onEvent(each);
        if (each.kind === 'tcp-data' && this.#lent.has(each.socket)) each.bytes.fill(0xee);
      }
    });
  }

  lend(socket: number, lent: boolean): void {
    if (lent) this.#lent.add(socket);
    else this.#lent.delete(socket);
  }

  accept(local: SocketAddress): { listener: number; socket: number } | undefined {
    const listener = this.#listeners.get(local.port);
    if (!listener || (listener.address && !sameIp(listener.address, local.address))) return undefined;
    return { listener: listener.socket, socket: this.#nextAccepted-- };
  }

  receive(bytes: Uint8Array, from: SocketAddress, to: SocketAddress): void {
    const port = this.#udp.get(`${to.address.family}/${to.port}`);
    if (port && (!port.address || sameIp(port.address, to.address)))
      this.emit({ kind: 'udp-datagram', socket: port.socket, bytes, from });
  }

  release(port: number): void {
    this.#used.delete(port);
  }

  #handle(command: SocketCommand): void {
    switch (command.kind) {
      case 'tcp-connect':
        this.#connect(command);
        break;
      case 'tcp-listen':
        this.#bindTcp(command.socket, command.port, command.address);
        break;
      case 'udp-bind':
        this.#bindUdp(command);
        break;
      case 'udp-send':
        this.#send(command.socket, Uint8Array.from(command.bytes), command.to);
        break;
      case 'close':
        this.#close(command.socket);
        break;
      case 'resolve':
        this.emit({
          kind: 'resolved',
          query: command.query,
          result: this.#resolve(command.name, command.family),
        });
        break;
      case 'resolve-cancel':
      case 'tcp-options':
        break;
      default:
        this.streams.get(command.socket)?.handle(command);
        break;
    }
  }

  #connect({ socket, to, localPort, localAddress }: TcpConnect): void {
    if (this.#network.silent.has(formatIp(to.address))) return;
    const own = localAddress ?? this.addresses.find(({ family }) => family === to.address.family);
    const host = this.#network.hostOf(to.address);
    const accepted = host?.accept(to);
    const error = this.#refusal(own, to, localPort) ?? (host ? 'ECONNREFUSED' : 'EHOSTUNREACH');
    if (!own || !host || !accepted || this.#refusal(own, to, localPort)) {
      this.emit({ kind: 'closed', socket, error });
      return;
    }
    const local = { address: own, port: localPort || this.#freePort() };
    if (localPort) this.#used.add(localPort);
    LoopbackStream.join(this, socket, local, host, accepted.socket, to);
    this.emit({ kind: 'tcp-connected', socket, local, remote: to, writeCredit: SEND_BUFFER });
    host.emit({ kind: 'tcp-accepted', ...accepted, local: to, remote: local, writeCredit: SEND_BUFFER });
  }

  #refusal(own: IpAddress | undefined, to: SocketAddress, localPort = 0): SocketErrorCode | undefined {
    if (own?.family !== to.address.family) return 'ENETUNREACH';
    if (!this.#owns(own)) return 'EADDRNOTAVAIL';
    return this.#used.has(localPort) ? 'EADDRINUSE' : undefined;
  }

  #bindTcp(socket: number, wanted: number, address: IpAddress | undefined): void {
    const any = address?.bytes.every((byte) => byte === 0);
    const foreign = address && !any && !this.#owns(address);
    if (foreign || this.#listeners.has(wanted)) {
      this.emit({ kind: 'closed', socket, error: foreign ? 'EADDRNOTAVAIL' : 'EADDRINUSE' });
      return;
    }
    const port = wanted || this.#freePort();
    this.#listeners.set(port, { socket, address: any ? undefined : address });
    this.emit({ kind: 'bound', socket, local: { address: address ?? ip('::'), port } });
  }

  #bindUdp({ socket, family, port: wanted, address, reuseAddress }: UdpBind): void {
    const foreign = address && !this.#owns(address);
    if (foreign || (this.#udp.has(`${family}/${wanted}`) && !reuseAddress)) {
      this.emit({ kind: 'closed', socket, error: foreign ? 'EADDRNOTAVAIL' : 'EADDRINUSE' });
      return;
    }
    const port = wanted || this.#freePort();
    this.#udp.set(`${family}/${port}`, { socket, address });
    this.emit({
      kind: 'bound',
      socket,
      local: { address: address ?? ip(family === 4 ? '0.0.0.0' : '::'), port },
    });
  }

  #send(socket: number, bytes: Uint8Array, to: SocketAddress): void {
    const [key, bound] = [...this.#udp].find(([, each]) => each.socket === socket) ?? [];
    const address = bound?.address ?? this.addresses.find(({ family }) => family === to.address.family);
    if (!key || !address) return;
    this.#network.hostOf(to.address)?.receive(bytes, { address, port: Number(key.split('/')[1]) }, to);
  }

  #close(socket: number): void {
    for (const [port, listener] of this.#listeners) if (listener.socket === socket) this.#listeners.delete(port);
    for (const [key, bound] of this.#udp) if (bound.socket === socket) this.#udp.delete(key);
    this.emit({ kind: 'closed', socket });
  }

  #resolve(name: string, family: 4 | 6 | 0): ResolveResult {
    const known = this.#network.names.get(name) ?? 'ENOTFOUND';
    if (typeof known === 'string') return { kind: 'failed', code: known };
    const addresses = known.map((text) => ({ address: ip(text), ttlSeconds: 60 }));
    const wanted = addresses.filter(({ address }) => family === 0 || address.family === family);
    return wanted.length > 0 ? { kind: 'addresses', addresses: wanted } : { kind: 'failed', code: 'ENODATA' };
  }

  #owns(address: IpAddress): boolean {
    return this.addresses.some((own) => sameIp(own, address));
  }

  #freePort(): number {
    return this.#nextPort++;
  }
}
