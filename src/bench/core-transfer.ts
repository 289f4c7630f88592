/**
 * Two tunnel machines, a client and a server, and a stream between them in virtual time. Each step the server fills a train of
 * datagrams; the client's work on it is timed, burst by burst, and so are the AEAD calls that it consists of, on copies.
 */

import { ip, prefix } from '../core/base/address.ts';
import { Burst, TRANSPORT_HEADER_LENGTH } from '../core/base/burst.ts';
import { type AeadKey, type Crypto, TAG_LENGTH } from '../core/base/crypto.ts';
import { type Instant, instant } from '../core/base/instant.ts';
import { randomBytes } from '../core/base/random.ts';
import { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import { systemRandom } from '../node/random.ts';
import { BURST_DATAGRAMS, End, SLOT_BYTES, Train } from './core-ends.ts';
import { spreadOf } from './statistics.ts';

export interface Work {
  readonly direction: 'download' | 'upload';
  readonly connections: number;
  /** Datagrams in a burst that the client is handed. */
  readonly burst: number;
  /** Segments of one connection in a row. */
  readonly run: number;
}

/** Per full packet that was moved: medians of samples of some hundred packets that nothing interrupted, if there are such. */
export interface Cost {
  /** All of the client's work. */
  readonly totalNs: number;
  readonly openNs: number;
  readonly sealNs: number;
  /** Datagrams the other way. */
  readonly answers: number;
}

const MTU = 1420;
/** Of a full packet: without IPv4 and TCP headers and timestamps. */
export const SEGMENT_BYTES: number = MTU - 20 - 20 - 12;
const SAMPLE_PACKETS = 256;
const STEP_MS = 0.05;
/** Each piece that is timed takes about a tenth of that; one that took longer had lost the processor to somebody else. */
const INTERRUPTED_NS = 1e6;
/** Nothing is on the way: a delayed acknowledgement or another timer must come first. */
const IDLE_STEP_MS = 5;
const IDLE_STEPS = 1000;
const ADDRESSES = { client: ip('10.0.0.2'), server: ip('10.0.0.1') };
const ENDPOINTS = {
  client: { address: ip('192.0.2.2'), port: 51820 },
  server: { address: ip('192.0.2.1'), port: 51820 },
};

export class CoreTransfer implements Disposable {
  readonly #client: End;
  readonly #server: End;
  readonly #work: Work;
  readonly #crypto: Crypto;
  /** Of the same cost as those of the session. */
  readonly #key: AeadKey;
  readonly #memory: Uint8Array[] = [];
  readonly #fromServer: Train = new Train(ENDPOINTS.server);
  readonly #fromClient: Train = new Train(ENDPOINTS.client);
  /** What the client's UDP port would have, in the AEAD's own memory. */
  readonly #received: Burst;
  readonly #transmit: Burst;
  #milliseconds = 1000;

  constructor(crypto: Crypto, work: Work) {
    this.#crypto = crypto;
    this.#work = work;
    this.#key = crypto.aeadKey(new Uint8Array(32).fill(7));
    this.#received = this.#burst();
    this.#transmit = this.#burst();
    const runBytes = work.run * SEGMENT_BYTES;
    const download = work.direction === 'download';
    const keys = { client: randomBytes(systemRandom, 32), server: randomBytes(systemRandom, 32) };
    this.#client = new End(machine(crypto, keys, 'client', 'server', this.#now), download ? undefined : runBytes);
    this.#server = new End(machine(crypto, keys, 'server', 'client', this.#now), download ? runBytes : undefined);
    this.#connect();
  }

  /** Moves so many stream bytes and says what that cost the client. */
  move(bytes: number): Cost {
    const download = this.#work.direction === 'download';
    const receiver = download ? this.#client : this.#server;
    const [data, answers] = download ? [this.#fromServer, this.#fromClient] : [this.#fromClient, this.#fromServer];
    const samples: Sample[] = [];
    let sample = new Sample();
    let idle = 0;
    for (const target = receiver.received + bytes; receiver.received < target; ) {
      this.#milliseconds += STEP_MS;
      this.#step(sample);
      sample.packets += data.fullPackets;
      sample.answers += answers.count;
      if (sample.packets >= SAMPLE_PACKETS) {
        samples.push(sample);
        sample = new Sample();
      }
      if (data.count + answers.count > 0) idle = 0;
      else if (++idle > IDLE_STEPS) throw new Error(`the transfer stands still at ${receiver.received} bytes`);
      else this.#milliseconds += IDLE_STEP_MS;
    }
    const whole = samples.filter(({ interrupted }) => !interrupted);
    const perPacket = (of: (sample: Sample) => number): number =>
      spreadOf((whole.length > 0 ? whole : samples).map((sample) => of(sample) / sample.packets)).median;
    return {
      totalNs: perPacket(({ totalNs }) => totalNs),
      openNs: perPacket(({ openNs }) => openNs),
      sealNs: perPacket(({ sealNs }) => sealNs),
      answers: perPacket(({ answers }) => answers),
    };
  }

  [Symbol.dispose](): void {
    this.#client.machine.close();
    this.#server.machine.close();
    this.#key.wipe();
    for (const memory of this.#memory) this.#crypto.release?.(memory);
  }

  get #now(): Instant {
    return instant(this.#milliseconds);
  }

  /** One train from the server, the client's work on it, and what the client sends. */
  #step(sample: Sample): void {
    const now = this.#now;
    this.#fromServer.fill(this.#server, now);
    this.#aead(this.#fromServer, sample);
    this.#fromClient.clear();
    for (let place = 0; place < this.#fromServer.count; place += this.#work.burst) {
      this.#fromServer.copyTo(this.#received, place, this.#work.burst);
      sample.totalNs += sample.timed(this.#turn(now));
    }
    this.#received.clear();
    while (this.#fromClient.room > 0 && this.#client.write(now)) sample.totalNs += sample.timed(this.#turn(now));
    sample.totalNs += sample.timed(this.#turn(now));
    this.#aead(this.#fromClient, sample);
    this.#server.handleTimeout(now);
    for (let place = 0; place < this.#fromClient.count; place += BURST_DATAGRAMS) {
      this.#fromClient.copyTo(this.#received, place, BURST_DATAGRAMS);
      this.#server.handle(this.#received, now);
    }
  }

  /** What the client's driver does with a burst, and how long that took. What it sends is kept. */
  #turn(now: Instant): number {
    const start = performance.now();
    if (this.#received.count > 0) this.#client.handle(this.#received, now);
    this.#client.handleTimeout(now);
    this.#transmit.clear();
    this.#client.machine.transmit(this.#transmit, now);
    const nanoseconds = (performance.now() - start) * 1e6;
    this.#fromClient.append(this.#transmit);
    return nanoseconds;
  }

  /** Until all connections are there. */
  #connect(): void {
    const { machine } = this.#client;
    machine.setEndpoint(machine.peers[0]!, ENDPOINTS.server, this.#now);
    this.#server.machine.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: 512 }, this.#now);
    const to = { address: ADDRESSES.server, port: 80 };
    for (let socket = 1; socket <= this.#work.connections; socket++)
      machine.handleCommand({ kind: 'tcp-connect', socket, to }, this.#now);
    for (let steps = 0; this.#client.connected < this.#work.connections; steps++) {
      if (steps > IDLE_STEPS) throw new Error('the connections were not made');
      this.#milliseconds += 1;
      this.#step(new Sample());
    }
  }

  /** Times the AEAD calls for a train, on copies: opening if it is the server's, sealing if it is the client's. */
  #aead(train: Train, sample: Sample): void {
    const key = this.#key;
    for (let place = 0; place < train.count; place += BURST_DATAGRAMS) {
      train.copyTo(this.#received, place, BURST_DATAGRAMS);
      const { slab, offsets, lengths, count } = this.#received;
      const each = (handle: (offset: number, length: number, index: number) => void): number => {
        const start = performance.now();
        for (let i = 0; i < count; i++)
          handle(offsets[i]! + TRANSPORT_HEADER_LENGTH, lengths[i]! - TRANSPORT_HEADER_LENGTH - TAG_LENGTH, i);
        return (performance.now() - start) * 1e6;
      };
      const sealNs = each((offset, length, index) => key.seal(slab, offset, length, index, 0));
      if (train === this.#fromClient) sample.sealNs += sample.timed(sealNs);
      else
        sample.openNs += sample.timed(
          each((offset, length, index) => key.open(slab, offset, length + TAG_LENGTH, index, 0)),
        );
    }
  }

  #burst(): Burst {
    const bytes = BURST_DATAGRAMS * SLOT_BYTES;
    const memory = this.#crypto.allocate?.(bytes) ?? new Uint8Array(bytes);
    this.#memory.push(memory);
    return new Burst(BURST_DATAGRAMS, SLOT_BYTES, memory);
  }
}

class Sample {
  packets = 0;
  answers = 0;
  totalNs = 0;
  openNs = 0;
  sealNs = 0;
  interrupted = false;

  /** The same time, after a look at it. */
  timed(nanoseconds: number): number {
    if (nanoseconds > INTERRUPTED_NS) this.interrupted = true;
    return nanoseconds;
  }
}

function machine(
  crypto: Crypto,
  keys: Readonly<Record<'client' | 'server', Uint8Array>>,
  mine: 'client' | 'server',
  theirs: 'client' | 'server',
  now: Instant,
): TunnelMachine {
  let stamp = 0;
  const options = {
    crypto,
    random: systemRandom,
    timestamp: () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, ++stamp),
    privateKey: keys[mine],
    mtu: MTU,
    addresses: [ADDRESSES[mine]],
    dnsServers: [],
    peers: [{ publicKey: crypto.keyPair(keys[theirs]).publicKey, allowedIps: [prefix(ADDRESSES[theirs], 32)] }],
  };
  return new TunnelMachine(options, now);
}
