/**
 * Two devices for 1,000 virtual seconds on a bad network, with restarts, sleeps, moves and clock steps, all from one seed. What must
 * hold whatever happens is checked after every step; what must come back is checked after the network has healed.
 */

import { type Endpoint, ip, sameEndpoint } from '../../src/core/base/address.ts';
import { u32le } from '../../src/core/base/bytes.ts';
import { instant } from '../../src/core/base/instant.ts';
import type { Peer } from '../../src/core/wireguard/device.ts';
import { laterTimestamp, tai64n } from '../../src/core/wireguard/timestamps.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';
import { BadNetwork, type Delivery, describeDelivery, HEALTHY } from './bad-network.ts';
import { SeededRandom } from './seeded-random.ts';
import { WatchedCrypto } from './watched-crypto.ts';
import { A_INNER, B_INNER, B_OUTER, End, EPOCH_SECONDS, innerPacket, net } from './wireguard-ends.ts';

/** Milliseconds: the network heals, traffic stops, the run ends. */
const HEAL_AT = 850_000;
const TRAFFIC_UNTIL = 920_000;
const END_AT = 1_000_000;
/** From the healing on, a packet sent this much later must arrive. */
const RECOVERY_TIME = 20_000;
/** After the last packet, two peers have this long to fall silent: passive keepalives, and a handshake for an unanswered one. */
const QUIET_TIME = 45_000;
const TRACE_LENGTH = 60;

interface Action {
  readonly at: number;
  readonly what: string;
  run(): void;
}

/** One side, over all its restarts. */
class Host {
  readonly name: 'A' | 'B';
  readonly inner: string;
  readonly privateKey: Uint8Array;
  end!: End;
  peer!: Peer;
  outer: Endpoint;
  wallOffsetMs = 0;
  asleepUntil = 0;
  /** Arrived while asleep; an operating system keeps some. */
  readonly backlog: Delivery[] = [];
  /** What the shell keeps on disk. */
  lastTimestamp: Uint8Array | undefined;
  lastInitiationAt = Number.NEGATIVE_INFINITY;
  lastSentAt = 0;
  /** The initiations that this incarnation has answered, by the index of their sender. */
  readonly answered: Set<number> = new Set();
  sequence = 0;

  constructor(name: 'A' | 'B', inner: string, outer: Endpoint, privateKey: Uint8Array) {
    this.name = name;
    this.inner = inner;
    this.outer = outer;
    this.privateKey = privateKey;
  }
}

export class Simulation {
  readonly seed: number;
  readonly random: SeededRandom;
  readonly network: BadNetwork;
  readonly crypto: WatchedCrypto = new WatchedCrypto(nodeCrypto);
  readonly a: Host;
  readonly b: Host;
  now = 0;
  delivered = 0;
  /** Text of every packet sent, to how often it arrived, and when it was sent. */
  readonly #packets: Map<string, { arrived: number; readonly sentAt: number }> = new Map();
  readonly #actions: Action[] = [];
  readonly #trace: string[] = [];
  readonly #presharedKey: Uint8Array | undefined;
  readonly #keepalive: number;
  readonly #roaming: boolean;
  #loaded = false;

  constructor(seed: number) {
    this.seed = seed;
    this.random = new SeededRandom(seed);
    this.network = new BadNetwork(this.random);
    this.#presharedKey = this.random.chance(0.5) ? this.random.bytes(32) : undefined;
    this.#keepalive = this.random.chance(0.3) ? 5 + this.random.below(40) : 0;
    this.#roaming = this.random.chance(0.5);
    this.a = new Host('A', A_INNER, { address: ip('192.0.2.1'), port: 40_000 }, this.random.bytes(32));
    this.b = new Host('B', B_INNER, B_OUTER, this.random.bytes(32));
    // Who holds back a genuine packet and delivers it from elsewhere first moves a roaming client away for good, by design of
    // the protocol; a server learns the truth from the client's next packet.
    this.network.mayForgeSource = ({ to }) => !this.#roaming || sameEndpoint(to, B_OUTER);
    this.#start(this.a);
    this.#start(this.b);
    this.#introduce(this.a, this.b);
    this.#introduce(this.b, this.a);
    this.#planFaults();
    this.#planTraffic(this.a);
    this.#planTraffic(this.b);
    this.#actions.sort((x, y) => x.at - y.at);
    for (const host of [this.a, this.b]) this.#collect(host);
  }

  /** Runs to the end. Throws an Error that names the seed, the moment and what happened before. */
  run(): this {
    try {
      while (this.now < END_AT) this.#step();
      this.#checkRecovery();
      this.#checkEnd();
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      throw new Error(
        `seed ${this.seed} at ${this.now} ms: ${what}\nreplay with SLUICE_SEED=${this.seed}\n${this.#trace.join('\n')}`,
        { cause: error },
      );
    }
    return this;
  }

  /** A summary that differs if anything went differently. */
  get digest(): string {
    const { a, b } = this;
    return [this.network.sent, this.delivered, this.crypto.seals, a.end.random.u32(), b.end.random.u32()].join();
  }

  #step(): void {
    const times = [this.#actions[0]?.at, this.network.next(), this.#due(this.a), this.#due(this.b), END_AT];
    const next = Math.min(...times.map((time) => time ?? END_AT));
    this.now = Math.max(this.now, next);
    this.crypto.now = this.now;
    if (this.#actions[0] && this.#actions[0].at <= this.now) this.#act(this.#actions.shift()!);
    for (const host of [this.a, this.b]) this.#serve(host);
    while ((this.network.next() ?? END_AT + 1) <= this.now) this.#arrive(this.network.take()!);
  }

  #act(action: Action): void {
    this.#note(action.what);
    for (const host of [this.a, this.b]) if (host.asleepUntil <= this.now) host.end.now = instant(this.now);
    action.run();
    for (const host of [this.a, this.b]) this.#collect(host);
  }

  /** When this host has something to do by itself. */
  #due(host: Host): number | undefined {
    const due = host.end.device.nextTimeout();
    if (host.asleepUntil > this.now) return host.asleepUntil;
    return host.backlog.length > 0 ? this.now : due;
  }

  #serve(host: Host): void {
    if (host.asleepUntil > this.now) return;
    host.end.now = instant(this.now);
    for (const late of host.backlog.splice(0)) this.#feed(host, late);
    const due = host.end.device.nextTimeout();
    if (due === undefined || due > this.now) return;
    host.end.device.handleTimeout(host.end.now);
    const next = host.end.device.nextTimeout();
    if (next !== undefined && next <= this.now)
      throw new Error(`${host.name}: a timer is still due after it was served`);
    this.#collect(host);
  }

  #arrive(delivery: Delivery): void {
    const host = [this.a, this.b].find(({ outer }) => sameEndpoint(outer, delivery.to));
    if (!host) return;
    if (host.asleepUntil <= this.now) this.#feed(host, delivery);
    else if (host.backlog.length < 50) host.backlog.push(delivery);
  }

  #feed(host: Host, { bytes, from, to }: Delivery): void {
    this.#note(`${host.name} gets ${describeDelivery({ bytes, from, to })}`);
    host.end.now = instant(this.now);
    host.end.device.handleDatagram(bytes, from, host.end.now, host.end);
    this.#collect(host);
  }

  /** Sends what the device wants to send, takes what it delivered, and checks what must hold now. */
  #collect(host: Host): void {
    host.end.drain();
    for (const { bytes, to } of host.end.outbox.splice(0)) {
      this.#note(`${host.name} sends ${describeDelivery({ bytes, from: host.outer, to })}`);
      if (bytes[0] === 1) {
        const gap = this.now - host.lastInitiationAt;
        if (gap < 5_000) throw new Error(`${host.name}: two initiations within ${gap} ms`);
        host.lastInitiationAt = this.now;
      }
      if (bytes[0] === 2) this.#checkResponse(host, u32le(bytes, 8));
      host.lastSentAt = this.now;
      this.network.send(bytes, host.outer, to, this.now);
    }
    for (const packet of host.end.inbox.splice(0)) this.#receive(host, packet);
    host.end.senders.length = 0;
    this.#checkState(host);
  }

  #checkResponse({ name, answered }: Host, index: number): void {
    if (answered.has(index)) throw new Error(`${name}: answered an initiation twice`);
    answered.add(index);
  }

  #receive(host: Host, packet: Uint8Array): void {
    const text = new TextDecoder().decode(packet.subarray(20));
    const record = this.#packets.get(text);
    if (!record || text.startsWith(host.name))
      throw new Error(`${host.name} got a packet that nobody sent it: ${text}`);
    if (++record.arrived > 1) throw new Error(`${host.name} got a packet twice: ${text}`);
    this.delivered++;
  }

  #checkState({ name, end, peer }: Host): void {
    const { previous, current, next } = peer.keypairs;
    const owners = [previous, current, next, peer.pendingHandshake].filter((owner) => owner !== undefined);
    const { indices } = end.device.context;
    if (indices.size !== owners.length) throw new Error(`${name}: ${indices.size} indices for ${owners.length} owners`);
    for (const owner of owners)
      if (indices.find(owner.localIndex) !== owner) throw new Error(`${name}: an index is not its owner's`);
    if (next && (next.sendLow !== 0 || next.sendHigh !== 0)) throw new Error(`${name}: sent before confirmation`);
    if (peer.staged.length > 128) throw new Error(`${name}: ${peer.staged.length} packets are staged`);
  }

  /** Packets of the healed time arrive. */
  #checkRecovery(): void {
    for (const [text, { arrived, sentAt }] of this.#packets)
      if (sentAt >= HEAL_AT + RECOVERY_TIME && arrived !== 1)
        throw new Error(`packet ${text}, sent at ${sentAt}, is lost`);
  }

  /** Idle peers are quiet, and 540 s later nothing is left of their sessions. */
  #checkEnd(): void {
    for (const host of [this.a, this.b]) {
      if (this.#keepalive === 0 && host.lastSentAt > TRAFFIC_UNTIL + QUIET_TIME)
        throw new Error(`${host.name}: still sends at ${host.lastSentAt}`);
      if (this.#keepalive > 0) continue;
      host.end.advanceTo(END_AT + 700_000);
      if (host.end.outbox.length > 0) throw new Error(`${host.name}: sends though idle`);
      if (host.end.device.nextTimeout() !== undefined) throw new Error(`${host.name}: a timer is left`);
      if (host.end.device.context.indices.size !== 0) throw new Error(`${host.name}: indices are left`);
    }
  }

  /** A device with nothing but what survives on disk. */
  #start(host: Host): void {
    host.end = new End({
      seed: this.random.u32(),
      endpoint: host.outer,
      privateKey: host.privateKey,
      crypto: this.crypto.crypto,
      device: {
        timestamp: () => {
          const wallMs = EPOCH_SECONDS * 1000 + this.now + host.wallOffsetMs;
          const wall = tai64n(Math.floor(wallMs / 1000), Math.floor((wallMs % 1000) * 1e6));
          host.lastTimestamp = laterTimestamp(host.lastTimestamp, wall);
          return host.lastTimestamp;
        },
        load: { underLoad: () => this.#loaded },
      },
    });
    host.end.now = instant(this.now);
    host.lastInitiationAt = Number.NEGATIVE_INFINITY;
    host.backlog.length = 0;
    host.answered.clear();
  }

  #introduce(host: Host, other: Host): void {
    const known = host === this.a ? { endpoint: other.outer, roaming: this.#roaming } : {};
    host.peer = host.end.addPeer(other.end, {
      ...known,
      ...(this.#presharedKey ? { presharedKey: this.#presharedKey } : {}),
      allowedIps: [net(`${other.inner}/32`)],
      persistentKeepaliveSeconds: host === this.a ? this.#keepalive : 0,
    });
  }

  #planFaults(): void {
    const { random } = this;
    const some = (count: number, what: string, run: () => void): void => {
      for (let i = random.below(count + 1); i > 0; i--) this.#plan(random.below(HEAL_AT), what, run);
    };
    const worsen = (): void => {
      this.network.faults = {
        loss: random.chance(0.5) ? random.below(50) / 100 : 0,
        delay: 1 + random.below(300),
        jitter: random.chance(0.3) ? random.below(20_000) : random.below(100),
        duplicate: random.chance(0.5) ? random.below(20) / 100 : 0,
        corrupt: random.chance(0.5) ? random.below(10) / 100 : 0,
        replay: random.chance(0.7) ? random.below(50) / 100 : 0,
      };
    };
    worsen();
    some(5, 'the network changes', worsen);
    some(3, 'the network is down', () => (this.network.down = true));
    some(4, 'the network is up', () => (this.network.down = false));
    some(2, 'load begins', () => (this.#loaded = true));
    some(3, 'load ends', () => (this.#loaded = false));
    some(
      4,
      'A moves',
      () => (this.a.outer = { address: ip(`192.0.2.${1 + random.below(250)}`), port: 1 + random.below(65_535) }),
    );
    for (const host of [this.a, this.b]) {
      some(2, `${host.name} restarts`, () => this.#restart(host));
      some(2, `${host.name} sleeps`, () => (host.asleepUntil = this.now + random.below(300_000)));
      some(3, `${host.name}'s wall clock steps`, () => (host.wallOffsetMs += (random.below(7_200) - 3_600) * 1_000));
      some(1, `${host.name}'s network changed`, () => {
        if (host.asleepUntil <= this.now) host.end.device.networkChanged(host.end.now);
      });
    }
    this.#plan(HEAL_AT, 'the network heals', () => {
      this.network.faults = HEALTHY;
      this.network.dropInFlight();
      this.network.down = false;
      this.#loaded = false;
      for (const host of [this.a, this.b]) host.asleepUntil = Math.min(host.asleepUntil, this.now);
      // The worst moment: the other side must find out for itself.
      if (random.chance(0.4)) this.#restart(random.chance(0.5) ? this.a : this.b);
    });
  }

  #restart(host: Host): void {
    const other = host === this.a ? this.b : this.a;
    host.end.device.close();
    this.#start(host);
    this.#introduce(host, other);
  }

  /** Packets now and then, in spells, so that sessions also age and expire unused; one per second after the healing. */
  #planTraffic(host: Host): void {
    const { random } = this;
    let at = random.below(20_000);
    while (at < HEAL_AT) {
      const spellUntil = at + random.below(120_000);
      const gap = 200 + random.below(10_000);
      for (; at < Math.min(spellUntil, HEAL_AT); at += random.below(2 * gap)) this.#planPacket(host, at);
      at += random.chance(0.3) ? random.below(250_000) : random.below(20_000);
    }
    for (at = HEAL_AT; at < TRAFFIC_UNTIL; at += 1_000) this.#planPacket(host, at + (host === this.a ? 0 : 500));
  }

  #planPacket(host: Host, at: number): void {
    this.#plan(at, `${host.name} has a packet`, () => {
      if (host.asleepUntil > this.now) return;
      const text = `${host.name}${host.sequence++}`;
      const other = host === this.a ? this.b : this.a;
      this.#packets.set(text, { arrived: 0, sentAt: this.now });
      host.end.send(innerPacket(host.inner, other.inner, new TextEncoder().encode(text)));
    });
  }

  #plan(at: number, what: string, run: () => void): void {
    this.#actions.push({ at, what, run });
  }

  #note(what: string): void {
    this.#trace.push(`${(this.now / 1000).toFixed(3)} ${what}`);
    if (this.#trace.length > TRACE_LENGTH) this.#trace.shift();
  }
}
