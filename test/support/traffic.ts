/**
 * A torrent's traffic in small: a peer on the internet that sends to everyone who connects, and a downloader in the tunnel that
 * dials it again and again, hangs up on the oldest, sends datagrams and asks for names.
 */

import type { SocketCommand, SocketEvent, SocketId } from '../../src/core/netstack/messages.ts';
import { hostAddresses } from '../../src/sandbox/addressing.ts';
import type { HostNode } from '../../src/sandbox/nodes.ts';
import type { Provider, ProviderWorld } from './provider-world.ts';
import type { TunnelProcess } from './tunnel-process.ts';

const PORT = 6_881;
const CHUNK_BYTES = 1_000;
const LISTENER: SocketId = 1;
const ECHO: SocketId = 2;

export interface TrafficOptions {
  readonly dialEveryMs: number;
  readonly sendEveryMs: number;
  /** Connections at once, dialled ones included. */
  readonly connections: number;
}

export class Traffic {
  /** Bytes of streams that arrived in the tunnel. */
  received = 0;
  /** Datagrams and names that came back. */
  answers = 0;
  readonly #world: ProviderWorld;
  readonly #process: TunnelProcess;
  readonly #provider: Provider;
  readonly #options: TrafficOptions;
  readonly #node: HostNode;
  /** At the peer: credit by connection. */
  readonly #accepted: Map<SocketId, number> = new Map();
  /** In the tunnel, the oldest first. */
  readonly #dialled: Set<SocketId> = new Set();
  readonly #datagrams: SocketId;
  #lastSocket = 0;

  constructor(world: ProviderWorld, process: TunnelProcess, provider: Provider, options: TrafficOptions) {
    this.#world = world;
    this.#process = process;
    this.#provider = provider;
    this.#options = options;
    this.#node = provider.sandbox.addHost(hostAddresses(0), world.now);
    this.#atPeer({ kind: 'tcp-listen', socket: LISTENER, port: PORT, backlog: 64 });
    this.#atPeer({ kind: 'udp-bind', socket: ECHO, family: 4, port: PORT });
    this.#datagrams = ++this.#lastSocket;
    this.#inTunnel({ kind: 'udp-bind', socket: this.#datagrams, family: 4, port: 0 });
    world.parties.push(() => this.#peerTurn());
    this.#every(options.dialEveryMs, () => this.#dial());
    this.#every(options.sendEveryMs, () => this.#send());
  }

  /** An event of the process's sockets. */
  handleEvent(event: SocketEvent): void {
    if (event.kind === 'tcp-data') {
      this.received += event.bytes.length;
      this.#inTunnel({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length });
    } else if (event.kind === 'closed') this.#dialled.delete(event.socket);
    else if (event.kind === 'udp-datagram' || event.kind === 'resolved') this.answers++;
  }

  #dial(): void {
    const socket = ++this.#lastSocket;
    this.#dialled.add(socket);
    this.#inTunnel({ kind: 'tcp-connect', socket, to: this.#peer });
    const [oldest] = this.#dialled;
    if (this.#dialled.size > this.#options.connections)
      this.#inTunnel({ kind: socket % 2 === 0 ? 'tcp-shutdown' : 'tcp-abort', socket: oldest! });
    this.#inTunnel({ kind: 'resolve', query: socket, name: 'ip.sluice.test', family: 0 });
  }

  #send(): void {
    this.#inTunnel({ kind: 'udp-send', socket: this.#datagrams, bytes: new Uint8Array(100), to: this.#peer });
    for (const [socket, credit] of this.#accepted) if (credit >= CHUNK_BYTES) this.#write(socket, credit);
  }

  #write(socket: SocketId, credit: number): void {
    this.#accepted.set(socket, credit - CHUNK_BYTES);
    this.#atPeer({ kind: 'tcp-write', socket, bytes: new Uint8Array(CHUNK_BYTES) });
  }

  #peerTurn(): boolean {
    const { sandbox } = this.#provider;
    let busy = false;
    for (let event = sandbox.nextEvent(this.#node); event; event = sandbox.nextEvent(this.#node)) {
      busy = true;
      this.#handlePeerEvent(event);
    }
    return busy;
  }

  #handlePeerEvent(event: SocketEvent): void {
    switch (event.kind) {
      case 'tcp-accepted':
        this.#write(event.socket, event.writeCredit);
        return;
      case 'tcp-write-credit':
        this.#accepted.set(event.socket, (this.#accepted.get(event.socket) ?? 0) + event.bytes);
        return;
      case 'tcp-end':
        this.#atPeer({ kind: 'tcp-shutdown', socket: event.socket });
        return;
      case 'closed':
        this.#accepted.delete(event.socket);
        return;
      case 'udp-datagram':
        this.#atPeer({ kind: 'udp-send', socket: ECHO, bytes: event.bytes, to: event.from });
        return;
    }
  }

  get #peer() {
    return { address: this.#node.addresses[0]!, port: PORT };
  }

  #atPeer(command: SocketCommand): void {
    this.#provider.sandbox.handleCommand(this.#node, command, this.#world.now);
  }

  #inTunnel(command: SocketCommand): void {
    this.#process.machine.handleCommand(command, this.#world.now);
  }

  #every(ms: number, act: () => void): void {
    this.#world.plan(ms, () => {
      act();
      this.#every(ms, act);
    });
  }
}
