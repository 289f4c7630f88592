/** The client's whole core against a WireGuard server, in virtual time and without a shell. */
import { formatIp, ip } from '../../src/core/base/address.ts';
import { Burst } from '../../src/core/base/burst.ts';
import { u16be } from '../../src/core/base/bytes.ts';
import { type Instant, instant } from '../../src/core/base/instant.ts';
import type { GuardSettings } from '../../src/core/guard/guard.ts';
import type { SocketEvent } from '../../src/core/netstack/messages.ts';
import type { TunnelEvent, TunnelMachineOptions } from '../../src/core/tunnel/messages.ts';
import { TunnelMachine } from '../../src/core/tunnel/tunnel-machine.ts';
import { PROTOCOL_ICMP } from '../../src/core/wire/ip.ts';
import { tai64n } from '../../src/core/wireguard/timestamps.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';
import { SeededRandom } from './seeded-random.ts';
import { A_OUTER, B_OUTER, End, net } from './wireguard-ends.ts';

export const REMOTE = { address: ip('203.0.113.80'), port: 6881 };
export const PROBE = { address: ip('203.0.113.90'), port: 443 };
const ECHO_REQUEST = 8;
export const DNS = ip('10.66.0.53');

/** A client tunnel in virtual time and a server that decrypts and keeps what comes; `silent` cuts the line. */
export class TunnelWorld {
  now: Instant = instant(0);
  silent = false;
  /** Datagrams that left the client. */
  datagrams = 0;
  /** Theirs, in bytes. */
  readonly lengths: Set<number> = new Set();
  /** Another one may take its place. */
  server: End;
  readonly client: TunnelMachine;
  readonly sockets: SocketEvent[] = [];
  readonly events: TunnelEvent[] = [];
  readonly #burst = new Burst(64, 2048);

  constructor(guard: GuardSettings = {}, keepalive = 25, more: Partial<TunnelMachineOptions> = {}) {
    const privateKey = new SeededRandom(7).bytes(32);
    this.server = new End({ seed: 3, endpoint: B_OUTER });
    const options = { publicKey: this.server.publicKey, allowedIps: [net('0.0.0.0/0')] };
    this.client = new TunnelMachine(
      {
        privateKey,
        peers: [{ ...options, persistentKeepaliveSeconds: keepalive }],
        addresses: [ip('10.66.0.1')],
        dnsServers: [DNS],
        mtu: 1420,
        crypto: nodeCrypto,
        random: new SeededRandom(8),
        timestamp: () => tai64n(1_790_000_000 + Math.floor(this.now / 1000), Math.floor((this.now % 1000) * 1e6)),
        guard,
        ...more,
      },
      this.now,
    );
    this.server.addPeer(this.client.device, { allowedIps: [net('10.66.0.0/24')] });
  }

  open(): this {
    this.client.setEndpoint(this.client.peers[0]!, B_OUTER, this.now);
    this.turn();
    return this;
  }

  /** One turn of the driver, until neither side has anything to send. */
  turn(): void {
    for (let busy = true; busy; ) {
      busy = false;
      this.#burst.clear();
      this.client.transmit(this.#burst, this.now);
      const sent = Array.from({ length: this.#burst.count }, (_, i) => Uint8Array.from(this.#burst.datagram(i)));
      this.datagrams += sent.length;
      for (const { length } of sent) this.lengths.add(length);
      this.server.now = this.now;
      if (!this.silent) for (const bytes of sent) this.server.feed(bytes, A_OUTER);
      while (this.server.outbox.length > 0) {
        busy = true;
        this.#burst.clear();
        const bytes = this.server.take();
        this.#burst.append(bytes, B_OUTER);
        if (!this.silent) this.client.handleBurst(this.#burst, this.now);
      }
      busy ||= sent.length > 0;
    }
    for (let event = this.client.nextTunnelEvent(); event; event = this.client.nextTunnelEvent())
      this.events.push(event);
    for (let event = this.client.nextOutput(); event; event = this.client.nextOutput()) this.sockets.push(event);
  }

  pass(seconds: number): void {
    const end = this.now + seconds * 1_000;
    const due = (): number =>
      Math.min(this.client.nextTimeout() ?? Infinity, this.server.device.nextTimeout() ?? Infinity);
    for (let next = due(); next <= end; next = due()) {
      this.now = instant(Math.max(this.now, next));
      this.client.handleTimeout(this.now);
      this.server.advanceTo(this.now);
      this.turn();
    }
    this.now = instant(end);
  }

  connect(socket: number, to = REMOTE): void {
    this.client.handleCommand({ kind: 'tcp-connect', socket, to }, this.now);
    this.turn();
  }

  /** Where the inner packets that reached the server since the last call went, `address:port`; but for those that try the path. */
  arrived(): string[] {
    return this.server.inbox
      .splice(0)
      .filter((packet) => packet[9] !== PROTOCOL_ICMP || packet[20] !== ECHO_REQUEST)
      .map((packet) => `${formatIp({ family: 4, bytes: packet.slice(16, 20) })}:${u16be(packet, 22)}`);
  }

  closed(): SocketEvent[] {
    return this.sockets.splice(0).filter(({ kind }) => kind === 'closed');
  }

  leak(): void {
    const finding = { family: 4, observed: '192.0.2.7', expected: [], foundAtMs: 0 } as const;
    this.client.mutateGuard((guard) => guard.handleProbe({ verdict: 'leak', finding }, this.now), this.now);
    this.turn();
  }

  clean(): void {
    const { findings } = this.client.guard;
    this.client.mutateGuard((guard) => guard.handleProbe({ verdict: 'ok', family: 4, findings }, this.now), this.now);
    this.turn();
  }

  get policy() {
    return this.client.guard.policy;
  }
}
