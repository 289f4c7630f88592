/**
 * A whole sandbox with clients in virtual time: our own client's core on one side, the sandbox's machine on the other, and between
 * them an array instead of UDP. Nothing waits; time jumps from deadline to deadline.
 */

import { type Endpoint, formatEndpoint, type IpAddress, ip, prefix } from '../../src/core/base/address.ts';
import { Burst } from '../../src/core/base/burst.ts';
import { setU32be } from '../../src/core/base/bytes.ts';
import type { Random } from '../../src/core/base/crypto.ts';
import { after, earliest, type Instant, instant } from '../../src/core/base/instant.ts';
import { randomBytes } from '../../src/core/base/random.ts';
import type { SocketAddress, SocketCommand, SocketEvent, SocketId } from '../../src/core/netstack/messages.ts';
import type { LeaseEvent, PortLease } from '../../src/core/portmap/messages.ts';
import { TunnelMachine } from '../../src/core/tunnel/tunnel-machine.ts';
import { nobleCrypto } from '../../src/node/crypto/noble.ts';
import { clientAddresses, GATEWAY_ADDRESSES, hostAddresses } from '../../src/sandbox/addressing.ts';
import type { ClientNode, HostNode } from '../../src/sandbox/nodes.ts';
import { SandboxMachine, type SandboxMachineOptions } from '../../src/sandbox/sandbox-machine.ts';
import { SeededRandom } from '../../src/sandbox/seeded-random.ts';

export const SERVER: Endpoint = { address: ip('127.0.0.1'), port: 51820 };
const crypto = nobleCrypto;

/** Sockets by numbers and promises of events: enough to read a test from top to bottom. */
export abstract class Party {
  readonly events: SocketEvent[] = [];
  readonly #credit: Map<SocketId, number> = new Map();
  protected readonly world: World;
  #socket = 1;

  constructor(world: World) {
    this.world = world;
  }

  abstract post(command: SocketCommand): void;
  protected abstract nextEvent(): SocketEvent | undefined;

  /** Takes what has happened. True if anything has. */
  collect(): boolean {
    const before = this.events.length;
    for (let event = this.nextEvent(); event; event = this.nextEvent()) {
      this.events.push(event);
      if (event.kind === 'tcp-connected' || event.kind === 'tcp-accepted') this.#grant(event.socket, event.writeCredit);
      else if (event.kind === 'tcp-write-credit') this.#grant(event.socket, event.bytes);
    }
    return this.events.length > before;
  }

  newSocket(): SocketId {
    return this.#socket++;
  }

  /** Runs the world until this party has an event that matches; then takes it. */
  async until<Kind extends SocketEvent['kind']>(
    kind: Kind,
    matches: (event: Extract<SocketEvent, { kind: Kind }>) => boolean = () => true,
    limitMs = 30_000,
  ): Promise<Extract<SocketEvent, { kind: Kind }>> {
    const isWanted = (event: SocketEvent): event is Extract<SocketEvent, { kind: Kind }> =>
      event.kind === kind && matches(event as Extract<SocketEvent, { kind: Kind }>);
    if (!this.world.runUntil(() => this.events.some(isWanted), limitMs))
      throw new Error(`no ${kind} within ${limitMs} ms, but ${JSON.stringify(this.events)}`);
    const found = this.events.findIndex(isWanted);
    return this.events.splice(found, 1)[0] as Extract<SocketEvent, { kind: Kind }>;
  }

  async bindUdp(port = 0, family: 4 | 6 = 4): Promise<{ socket: SocketId; port: number }> {
    const socket = this.newSocket();
    this.post({ kind: 'udp-bind', socket, family, port });
    const { local } = await this.until('bound', (event) => event.socket === socket);
    return { socket, port: local.port };
  }

  send(socket: SocketId, to: SocketAddress, bytes: Uint8Array): void {
    this.post({ kind: 'udp-send', socket, to, bytes });
  }

  /** Sends one datagram and waits for one back. */
  async ask(socket: SocketId, to: SocketAddress, bytes: Uint8Array, limitMs = 30_000): Promise<Uint8Array> {
    this.send(socket, to, bytes);
    return (await this.until('udp-datagram', (event) => event.socket === socket, limitMs)).bytes;
  }

  async listen(port: number): Promise<SocketId> {
    const socket = this.newSocket();
    this.post({ kind: 'tcp-listen', socket, port, backlog: 16 });
    await this.until('bound', (event) => event.socket === socket);
    return socket;
  }

  async connect(to: SocketAddress, limitMs?: number): Promise<SocketId> {
    const socket = this.newSocket();
    this.post({ kind: 'tcp-connect', socket, to });
    await this.until('tcp-connected', (event) => event.socket === socket, limitMs);
    return socket;
  }

  /** Writes all of it, as credit allows, and then FIN. */
  async write(socket: SocketId, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const credit = this.#credit.get(socket) ?? 0;
      if (credit === 0 && !this.world.runUntil(() => (this.#credit.get(socket) ?? 0) > 0, 600_000))
        throw new Error(`no credit after ${at} bytes`);
      const piece = bytes.subarray(at, at + (this.#credit.get(socket) ?? 0));
      this.post({ kind: 'tcp-write', socket, bytes: piece });
      this.#grant(socket, -piece.length);
      at += piece.length;
    }
    this.post({ kind: 'tcp-shutdown', socket });
  }

  /** From now on, gives everything that arrives on a connection back as credit, and keeps it. */
  readInto(socket: SocketId, chunks: Uint8Array[]): () => boolean {
    let ended = false;
    this.world.onTurn.push(() => {
      for (const event of this.events.splice(0)) {
        if (event.kind === 'tcp-data' && event.socket === socket) {
          chunks.push(event.bytes);
          this.post({ kind: 'tcp-credit', socket, bytes: event.bytes.length });
        } else if (event.kind === 'tcp-end' && event.socket === socket) ended = true;
        else this.events.push(event);
      }
    });
    return () => ended;
  }

  /** Everything that arrives on a connection until its end. */
  async readAll(socket: SocketId): Promise<string> {
    let text = '';
    for (;;) {
      await this.until('tcp-end', (event) => event.socket === socket);
      for (const event of this.events.splice(0))
        if (event.kind === 'tcp-data' && event.socket === socket) text += String.fromCharCode(...event.bytes);
        else this.events.push(event);
      return text;
    }
  }

  /** A web page, as text with its head. */
  async get(address: IpAddress, path = '/', extra = ''): Promise<string> {
    const socket = await this.connect({ address, port: 80 });
    const request = `GET ${path} HTTP/1.1\r\nHost: ip.sluice.test\r\n${extra}\r\n`;
    this.post({ kind: 'tcp-write', socket, bytes: Uint8Array.from(request, (letter) => letter.charCodeAt(0)) });
    const text = await this.readAll(socket);
    this.post({ kind: 'tcp-shutdown', socket });
    return text;
  }

  async resolve(name: string, family: 4 | 6 | 0 = 4): Promise<Extract<SocketEvent, { kind: 'resolved' }>['result']> {
    const query = this.newSocket();
    this.post({ kind: 'resolve', query, name, family });
    return (await this.until('resolved', (event) => event.query === query)).result;
  }

  #grant(socket: SocketId, bytes: number): void {
    this.#credit.set(socket, (this.#credit.get(socket) ?? 0) + bytes);
  }
}

export interface ClientOptions {
  readonly presharedKey?: Uint8Array;
  readonly lease?: PortLease;
}

export class Client extends Party {
  readonly machine: TunnelMachine;
  readonly node: ClientNode;
  /** Where the sandbox sees its datagrams come from; a test may move it. */
  endpoint: Endpoint;
  handshakes = 0;

  /** What the client's port-forward lease has reported. */
  readonly portForward: LeaseEvent[] = [];

  constructor(world: World, number: number, { presharedKey, lease }: ClientOptions = {}) {
    super(world);
    const random = new SeededRandom(1000 + number);
    const privateKey = randomBytes(random, 32);
    const { publicKey } = crypto.keyPair(privateKey);
    const addresses = clientAddresses(number);
    const secret = presharedKey ? { presharedKey } : {};
    this.node = world.sandbox.addClient({ publicKey, addresses, ...secret }, world.now);
    this.endpoint = { address: ip('127.0.0.1'), port: 40_000 + number };
    this.machine = new TunnelMachine(
      {
        privateKey,
        peers: [
          {
            publicKey: world.sandbox.publicKey,
            allowedIps: [prefix(ip('0.0.0.0'), 0), prefix(ip('::'), 0)],
            persistentKeepaliveSeconds: 25,
            ...secret,
          },
        ],
        addresses,
        dnsServers: [GATEWAY_ADDRESSES[0]!],
        mtu: 1420,
        crypto,
        random,
        timestamp: world.timestamp,
        ...(lease ? { lease } : {}),
      },
      world.now,
    );
    this.machine.setEndpoint(this.machine.peers[0]!, SERVER, world.now);
  }

  post(command: SocketCommand): void {
    this.machine.handleCommand(command, this.world.now);
  }

  protected nextEvent(): SocketEvent | undefined {
    for (let event = this.machine.nextTunnelEvent(); event; event = this.machine.nextTunnelEvent())
      if (event.kind === 'handshake') this.handshakes++;
      else if (event.kind === 'port-forward') this.portForward.push(event.event);
    return this.machine.nextOutput();
  }
}

export class Host extends Party {
  readonly node: HostNode;

  constructor(world: World, number: number, mtu?: number) {
    super(world);
    this.node = world.sandbox.addHost(hostAddresses(number), world.now, mtu);
  }

  get address(): IpAddress {
    return this.node.addresses[0]!;
  }

  post(command: SocketCommand): void {
    this.world.sandbox.handleCommand(this.node, command, this.world.now);
  }

  protected nextEvent(): SocketEvent | undefined {
    return this.world.sandbox.nextEvent(this.node);
  }
}

export class World {
  now: Instant = instant(1_000_000);
  readonly sandbox: SandboxMachine;
  readonly clients: Client[] = [];
  readonly hosts: Host[] = [];
  /** Everything that was on the wire, as text: for comparing two runs. */
  readonly wire: string[] = [];
  /** Which datagrams of so many bytes the line carries; all. */
  carries: (bytes: number, towards: 'server' | 'client') => boolean = () => true;
  /** Run whenever events have been collected. */
  readonly onTurn: (() => void)[] = [];
  #ticks = 0;
  readonly #burst = new Burst();

  constructor(options: Partial<SandboxMachineOptions> & { random?: Random } = {}) {
    const random = options.random ?? new SeededRandom(7);
    this.sandbox = new SandboxMachine({ crypto, timestamp: this.timestamp, ...options, random }, this.now);
  }

  /** TAI64N that only counts: nobody compares it with a wall clock here. */
  readonly timestamp = (): Uint8Array => {
    const bytes = new Uint8Array(12);
    setU32be(bytes, 0, 0x4000_0000);
    setU32be(bytes, 4, ++this.#ticks);
    return bytes;
  };

  addClient(options: ClientOptions = {}): Client {
    const client = new Client(this, this.clients.length, options);
    this.clients.push(client);
    return client;
  }

  addHost(mtu?: number): Host {
    const host = new Host(this, this.hosts.length, mtu);
    this.hosts.push(host);
    return host;
  }

  /** Lets time pass until the condition holds. False if it does not within the limit, or if nothing would ever happen again. */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    const deadline = after(this.now, limitMs);
    for (;;) {
      this.#settle();
      if (condition()) return true;
      const next = this.#nextTimeout();
      if (next === undefined || next > deadline) {
        this.now = deadline;
        this.#fire();
        this.#settle();
        return condition();
      }
      if (next > this.now) this.now = next;
      this.#fire();
    }
  }

  run(durationMs: number): void {
    this.runUntil(() => false, durationMs);
  }

  /** Carries datagrams and events until nobody has anything more to say at this moment. */
  #settle(): void {
    for (let rounds = 0, busy = true; busy; rounds++) {
      if (rounds > 100_000) throw new Error('the world does not come to rest');
      busy = false;
      for (const client of this.clients) {
        busy = this.#carry(client.machine, (burst) => this.#toServer(client, burst)) || busy;
        busy = client.collect() || busy;
      }
      busy = this.#carry(this.sandbox, (burst) => this.#toClients(burst)) || busy;
      for (const host of this.hosts) busy = host.collect() || busy;
      for (const turn of this.onTurn) turn();
    }
  }

  #carry(machine: TunnelMachine | SandboxMachine, deliver: (burst: Burst) => void): boolean {
    const burst = this.#burst;
    burst.clear();
    const more = machine.transmit(burst, this.now);
    const count = burst.count;
    if (count > 0) deliver(burst);
    return more || count > 0;
  }

  #toServer(client: Client, burst: Burst): void {
    const arriving = new Burst();
    for (let i = 0; i < burst.count; i++) {
      if (!this.carries(burst.lengths[i]!, 'server')) continue;
      arriving.append(burst.datagram(i), client.endpoint);
      this.wire.push(`${this.now} > ${fingerprint(burst.datagram(i))}`);
    }
    this.sandbox.handleBurst(arriving, this.now);
  }

  #toClients(burst: Burst): void {
    for (let i = 0; i < burst.count; i++) {
      if (!this.carries(burst.lengths[i]!, 'client')) continue;
      const to = formatEndpoint(burst.endpoints[i]!);
      this.wire.push(`${this.now} < ${fingerprint(burst.datagram(i))}`);
      const client = this.clients.find(({ endpoint }) => formatEndpoint(endpoint) === to);
      const arriving = new Burst();
      arriving.append(burst.datagram(i), SERVER);
      client?.machine.handleBurst(arriving, this.now);
    }
  }

  #nextTimeout(): Instant | undefined {
    let next = this.sandbox.nextTimeout();
    for (const { machine } of this.clients) next = earliest(next, machine.nextTimeout());
    return next;
  }

  #fire(): void {
    const due = (at: Instant | undefined): boolean => at !== undefined && at <= this.now;
    if (due(this.sandbox.nextTimeout())) {
      this.sandbox.handleTimeout(this.now);
      const next = this.sandbox.nextTimeout();
      if (next !== undefined && next <= this.now) throw new Error('the sandbox makes no progress');
    }
    for (const { machine } of this.clients) if (due(machine.nextTimeout())) machine.handleTimeout(this.now);
  }
}

function fingerprint(datagram: Uint8Array): string {
  let hash = 0;
  for (const byte of datagram) hash = (Math.imul(hash, 31) + byte) | 0;
  return `${datagram.length}:${hash}`;
}
