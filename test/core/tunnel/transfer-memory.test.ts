/** A long transfer between two tunnels, on a virtual clock: whatever went through, nothing is left of it. */
import { describe, expect, it } from 'vitest';
import { ip, prefix } from '../../../src/core/base/address.ts';
import { Burst } from '../../../src/core/base/burst.ts';
import { setU32le, u32le } from '../../../src/core/base/bytes.ts';
import type { Crypto } from '../../../src/core/base/crypto.ts';
import { type Instant, instant } from '../../../src/core/base/instant.ts';
import type { SocketEvent } from '../../../src/core/netstack/messages.ts';
import { TunnelMachine } from '../../../src/core/tunnel/tunnel-machine.ts';
import { takeCensus } from '../../support/census.ts';
import { deep } from '../../support/deep.ts';
import { heldBytes } from '../../support/memory.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { toyCrypto } from '../../support/toy-crypto.ts';

const MIB = 1024 * 1024;
const WARM = 32 * MIB;
const TOTAL = deep(160 * MIB, 100 * 1024 * MIB);
const CONNECTIONS = 20;
/** Reached soon: windows and buffers that still grow would be taken for what is left behind. */
const WINDOW = MIB / 2;
const CHUNK = new Uint8Array(64 * 1024);
/** Large packets, for the sake of time. */
const MTU = 8920;
const SLOT_BYTES = 9216;
/** Virtual milliseconds per turn: with bursts of 64 datagrams a little less than 1 Gbit/s, so that 100 GiB are some rekeys. */
const TURN_MS = 5;

/** Seals nothing: of the bytes of a packet none can be kept, of its counters all. */
const openCrypto: Crypto = {
  ...toyCrypto,
  aeadKey: () => ({
    seal: (buffer, offset, length, low) => {
      buffer.fill(0, offset + length, offset + length + 16);
      setU32le(buffer, offset + length, low);
    },
    open: (buffer, offset, length, low) => u32le(buffer, offset + length - 16) === low,
    wipe: () => {},
  }),
};

/** One end of the tunnel: takes all that comes and writes all that it may. */
class End {
  readonly machine: TunnelMachine;
  readonly out = new Burst(64, SLOT_BYTES);
  received = 0;
  sessions = 0;
  readonly #credit: Map<number, number> = new Map();
  readonly #writes: boolean;

  constructor(own: { readonly seed: number; readonly address: string }, peer: typeof own, writes: boolean) {
    this.#writes = writes;
    const keyOf = (seed: number): Uint8Array => new SeededRandom(seed).bytes(32);
    let stamp = 0;
    this.machine = new TunnelMachine(
      {
        crypto: openCrypto,
        random: new SeededRandom(own.seed + 100),
        timestamp: () => {
          const bytes = new Uint8Array(12);
          bytes[10] = ++stamp >>> 8;
          bytes[11] = stamp;
          return bytes;
        },
        privateKey: keyOf(own.seed),
        addresses: [ip(own.address)],
        dnsServers: [],
        mtu: MTU,
        limits: { tcp: { receiveWindowMax: WINDOW, sendBufferMax: WINDOW } },
        peers: [
          { publicKey: openCrypto.keyPair(keyOf(peer.seed)).publicKey, allowedIps: [prefix(ip(peer.address), 32)] },
        ],
      },
      instant(1000),
    );
  }

  turn(burst: Burst, now: Instant): void {
    const { machine, out } = this;
    if (burst.count > 0) machine.handleBurst(burst, now);
    burst.clear();
    const due = machine.nextTimeout();
    if (due !== undefined && due <= now) machine.handleTimeout(now);
    for (let event = machine.nextOutput(); event; event = machine.nextOutput()) this.#handle(event, now);
    for (let event = machine.nextTunnelEvent(); event; event = machine.nextTunnelEvent())
      if (event.kind === 'handshake') this.sessions++;
    machine.transmit(out, now);
  }

  #handle(event: SocketEvent, now: Instant): void {
    if (event.kind === 'closed') throw new Error(`closed: ${event.error}`);
    if (event.kind === 'tcp-data') {
      this.received += event.bytes.length;
      this.machine.handleCommand({ kind: 'tcp-credit', socket: event.socket, bytes: event.bytes.length }, now);
    } else if (event.kind === 'tcp-connected' || event.kind === 'tcp-accepted') {
      if (this.#writes) this.#write(event.socket, event.writeCredit, now);
    } else if (event.kind === 'tcp-write-credit') this.#write(event.socket, event.bytes, now);
  }

  #write(socket: number, granted: number, now: Instant): void {
    let credit = (this.#credit.get(socket) ?? 0) + granted;
    for (; credit >= CHUNK.length; credit -= CHUNK.length)
      this.machine.handleCommand({ kind: 'tcp-write', socket, bytes: CHUNK }, now);
    this.#credit.set(socket, credit);
  }
}

class Transfer {
  readonly client = new End({ seed: 1, address: '10.0.0.2' }, { seed: 2, address: '10.0.0.1' }, false);
  readonly server = new End({ seed: 2, address: '10.0.0.1' }, { seed: 1, address: '10.0.0.2' }, true);
  now = 1000;

  constructor() {
    const { client, server } = this;
    const now = instant(this.now);
    client.machine.setEndpoint(client.machine.peers[0]!, { address: ip('192.0.2.1'), port: 51_820 }, now);
    server.machine.handleCommand({ kind: 'tcp-listen', socket: 1, port: 80, backlog: CONNECTIONS }, now);
    for (let socket = 1; socket <= CONNECTIONS; socket++)
      client.machine.handleCommand({ kind: 'tcp-connect', socket, to: { address: ip('10.0.0.1'), port: 80 } }, now);
  }

  runTo(bytes: number): void {
    const { client, server } = this;
    const from = { address: ip('192.0.2.2'), port: 51_820 };
    for (let silent = 0; client.received < bytes; silent++) {
      const before = client.received;
      this.now += TURN_MS;
      client.turn(server.out, instant(this.now));
      client.out.endpoints.fill(from);
      server.turn(client.out, instant(this.now));
      if (client.received > before) silent = 0;
      if (silent > 100_000) throw new Error(`nothing moves after ${client.received} bytes`);
    }
  }
}

describe('a transfer', () => {
  it(
    `leaves nothing behind after ${TOTAL / MIB} MiB over ${CONNECTIONS} connections`,
    () => {
      const transfer = new Transfer();
      transfer.runTo(WARM);
      const census = takeCensus(transfer);
      const held = heldBytes();
      transfer.runTo(TOTAL);
      const grown = [...takeCensus(transfer)].filter(([path, count]) => count > 1.5 * (census.get(path) ?? 0) + 64);
      expect(census.size).toBeGreaterThan(50);
      expect(grown).toEqual([]);
      expect(heldBytes() - held).toBeLessThan(4 * MIB);
      expect(transfer.client.sessions).toBeGreaterThanOrEqual(Math.floor((transfer.now - 1000) / 130_000));
    },
    deep(60_000, 3_600_000),
  );
});
