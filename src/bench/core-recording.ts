/**
 * A transfer between two tunnel machines in virtual time, and what the client was handed in it, moment by moment. Machines are pure: a
 * client with the same keys and random numbers that is handed the same does the same. So no server runs beside the one that is measured:
 * it would take as much of the processor's caches.
 */

import { ip, prefix } from '../core/base/address.ts';
import type { Crypto, Random } from '../core/base/crypto.ts';
import { type Instant, instant } from '../core/base/instant.ts';
import { randomBytes } from '../core/base/random.ts';
import { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import { systemRandom } from '../node/random.ts';
import { CoreClient, PortBurst, type Step } from './core-client.ts';
import { BURST_DATAGRAMS, End, Train } from './core-ends.ts';

export interface Work {
  readonly direction: 'download' | 'upload';
  readonly connections: number;
  /** Datagrams in a burst that the client is handed. */
  readonly burst: number;
  /** Segments of one connection in a row. */
  readonly run: number;
  /** See `TcpSettings`: the client's. */
  readonly stretchAcks: boolean;
}

const MTU = 1420;
/** Of a full packet: without IPv4 and TCP headers and timestamps. */
export const SEGMENT_BYTES: number = MTU - 20 - 20 - 12;
const START_MS = 1000;
const STEP_MS = 0.05;
/** Nothing is on the way: a delayed acknowledgement or another timer must come first. */
const IDLE_STEP_MS = 5;
const IDLE_STEPS = 1000;
const ADDRESSES = { client: ip('10.0.0.2'), server: ip('10.0.0.1') };
const ENDPOINTS = {
  client: { address: ip('192.0.2.2'), port: 51820 },
  server: { address: ip('192.0.2.1'), port: 51820 },
};

type Side = keyof typeof ADDRESSES;

export class Recording {
  /** Until all connections are there. */
  readonly opening: readonly Step[];
  readonly moving: readonly Step[];
  /** Stream bytes that the client got in all. */
  readonly received: number;
  readonly #crypto: Crypto;
  readonly #work: Work;
  readonly #keys = { client: randomBytes(systemRandom, 32), server: randomBytes(systemRandom, 32) };
  readonly #drawn: Uint8Array[] = [];
  #milliseconds = START_MS;

  /** Of at least `bytes` stream bytes. */
  constructor(crypto: Crypto, work: Work, bytes: number) {
    this.#crypto = crypto;
    this.#work = work;
    const fill = (target: Uint8Array): void => {
      systemRandom.fill(target);
      this.#drawn.push(Uint8Array.from(target));
    };
    using client = this.#newClient({ fill });
    using handed = new PortBurst(crypto, BURST_DATAGRAMS);
    const server = this.#newEnd('server', systemRandom);
    server.machine.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 512 }, this.#now);
    const receiver = work.direction === 'download' ? client.end : server;
    this.opening = this.#record(client, server, handed, () => client.end.connected === work.connections);
    this.moving = this.#record(client, server, handed, () => receiver.received >= bytes);
    this.received = client.end.received;
    server.machine.close();
  }

  /** A client that does as the recorded one did, if it is handed the same. */
  client(): CoreClient {
    let next = 0;
    return this.#newClient({ fill: (target) => target.set(this.#drawn[next++]!) });
  }

  get #now(): Instant {
    return instant(this.#milliseconds);
  }

  #record(client: CoreClient, server: End, handed: PortBurst, done: () => boolean): Step[] {
    const steps: Step[] = [];
    const train = new Train(ENDPOINTS.server);
    const sent = new Train(ENDPOINTS.client);
    for (let idle = 0; !done(); ) {
      this.#milliseconds += idle === 0 ? STEP_MS : IDLE_STEP_MS;
      const now = this.#now;
      train.fill(server, now);
      const step = { now, datagrams: train.copies() };
      steps.push(step);
      sent.clear();
      client.take(step, sent);
      server.handleTimeout(now);
      for (let place = 0; place < sent.count; place += BURST_DATAGRAMS) {
        sent.copyTo(handed, place, BURST_DATAGRAMS);
        server.handle(handed, now);
      }
      idle = train.count + sent.count > 0 ? 0 : idle + 1;
      if (idle > IDLE_STEPS) throw new Error('the transfer stands still');
    }
    return steps;
  }

  /** Which has asked for its connections. */
  #newClient(random: Random): CoreClient {
    const start = instant(START_MS);
    const end = this.#newEnd('client', random);
    const { machine } = end;
    machine.setEndpoint(machine.peers[0]!, ENDPOINTS.server, start);
    const to = { address: ADDRESSES.server, port: 80 };
    for (let socket = 1; socket <= this.#work.connections; socket++)
      machine.handleCommand({ kind: 'tcp-connect', socket, to }, start);
    return new CoreClient(end, this.#crypto, this.#work.burst, ENDPOINTS.server);
  }

  #newEnd(mine: Side, random: Random): End {
    const theirs = mine === 'client' ? 'server' : 'client';
    const { publicKey } = this.#crypto.keyPair(this.#keys[theirs]);
    let stamp = 0;
    const machine = new TunnelMachine(
      {
        crypto: this.#crypto,
        random,
        timestamp: () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, ++stamp),
        privateKey: this.#keys[mine],
        mtu: MTU,
        addresses: [ADDRESSES[mine]],
        dnsServers: [],
        peers: [{ publicKey, allowedIps: [prefix(ADDRESSES[theirs], 32)] }],
        limits: mine === 'client' ? { tcp: { stretchAcks: this.#work.stretchAcks } } : {},
      },
      instant(START_MS),
    );
    const writes = (this.#work.direction === 'download') === (mine === 'server');
    return new End(machine, writes ? this.#work.run * SEGMENT_BYTES : undefined);
  }
}
