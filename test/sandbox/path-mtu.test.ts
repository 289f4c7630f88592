/**
 * Transfers through a tunnel whose line outside carries less than the tunnel sends, and says nothing about it (leak plan 31, RFC 8899 §4.3,
 * RFC 2923 §2.1), in virtual time.
 */

import { describe, expect, it } from 'vitest';
import type { SocketId } from '../../src/core/netstack/messages.ts';
import { deep } from '../support/deep.ts';
import { type Client, type Host, type Party, World } from './world.ts';

/** Outer IPv4 and UDP headers. */
const HEADERS = 28;
const KIB = 1024;

type Direction = 'both' | 'server' | 'client';

class Line {
  readonly world = new World();
  readonly client: Client;
  readonly host: Host;
  /** Datagrams that were too large, by the direction in which they went. */
  tooLarge: { at: number; towards: string }[] = [];
  mtu = 1500;

  constructor(direction: Direction = 'both') {
    const { world } = this;
    world.sandbox.faults.delayMs = 20;
    world.carries = (bytes, towards) => {
      if (bytes + HEADERS <= this.mtu || (direction !== 'both' && direction !== towards)) return true;
      this.tooLarge.push({ at: world.now, towards });
      return false;
    };
    this.client = world.addClient();
    this.host = world.addHost();
  }

  /** A connection from the client to the host. */
  async connect(port = 7000): Promise<{ client: SocketId; host: SocketId }> {
    await this.host.listen(port);
    const client = await this.client.connect({ address: this.host.address, port });
    const { socket } = await this.host.until('tcp-accepted');
    return { client, host: socket };
  }

  /** Sends so many bytes over an open connection; the milliseconds it took. */
  async transfer(from: Party, socket: SocketId, to: Party, other: SocketId, bytes: number): Promise<number> {
    const begun = this.world.now;
    const chunks: Uint8Array[] = [];
    const ended = to.readInto(other, chunks);
    const sent = Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >>> 8)) & 255);
    await from.write(socket, sent);
    if (!this.world.runUntil(ended, 120_000)) throw new Error(`no end of the transfer at MTU ${this.mtu}`);
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    return this.world.now - begun;
  }

  async download(bytes: number, port?: number): Promise<number> {
    const { client, host } = await this.connect(port);
    return this.transfer(this.host, host, this.client, client, bytes);
  }

  async upload(bytes: number, port?: number): Promise<number> {
    const { client, host } = await this.connect(port);
    return this.transfer(this.client, client, this.host, host, bytes);
  }
}

/** What a packet may be, padded, in a datagram on such a line. */
const room = (mtu: number): number => mtu - HEADERS - 32;

/** The least that is to be found where so much fits: sizes are tried in steps of 48 at most, but for the one from 1216 to 1280. */
const leastFound = (fits: number): number => Math.min(1420, fits < 1280 ? Math.min(1216, fits - 47) : fits - 47);

const LINES = Array.from({ length: deep(6, 23) }, (_, i) => 1280 + i * deep(40, 10)).concat(1492, 1500);

describe.each(['both', 'server', 'client'] as const)('a line that drops large datagrams towards %s', (direction) => {
  it.each(LINES)(
    'of %i bytes is known before two seconds have passed, and transfers take what they would',
    async (mtu) => {
      const line = new Line(direction);
      line.mtu = mtu;
      line.world.run(2_000);
      const found = line.client.machine.mtu;
      expect(found).toBeLessThanOrEqual(Math.max(room(mtu), 1200));
      expect(found).toBeGreaterThanOrEqual(leastFound(room(mtu)));
      line.tooLarge = [];
      const times = [await line.download(200 * KIB, 7000), await line.upload(200 * KIB, 7001)];
      expect(line.tooLarge).toEqual([]);
      // Without a limit: 0.28 s.
      expect(Math.max(...times)).toBeLessThan(1_000);
    },
  );
});

describe('a line that becomes narrower', () => {
  it.each([1280, 1400, 1480])('to %i in the middle of an upload stalls it for seconds', async (mtu) => {
    const line = new Line();
    const { client, host } = await line.connect();
    line.world.run(2_000);
    line.mtu = mtu;
    expect(await line.transfer(line.client, client, line.host, host, 300 * KIB)).toBeLessThan(10_000);
    line.world.run(2_000);
    expect(line.client.machine.mtu).toBeLessThanOrEqual(mtu - 60);
  });

  it.each([1280, 1400])('to %i in the middle of a download is known in seconds, and new downloads run', async (mtu) => {
    const line = new Line();
    await line.download(100 * KIB, 7000);
    line.mtu = mtu;
    line.world.run(8_000);
    expect(line.client.machine.mtu).toBeLessThanOrEqual(mtu - 60);
    line.tooLarge = [];
    expect(await line.download(100 * KIB, 7001)).toBeLessThan(1_000);
    expect(line.tooLarge).toEqual([]);
  });

  it('and wide again is used in full within a minute, by connections that are open, too', async () => {
    const line = new Line();
    line.mtu = 1340;
    line.world.run(2_000);
    expect(line.client.machine.mtu).toBe(1280);
    const { client, host } = await line.connect();
    line.mtu = 1500;
    line.world.run(60_000);
    expect(line.client.machine.mtu).toBe(1420);
    const lengths: number[] = [];
    line.world.carries = (bytes, towards) => towards !== 'server' || lengths.push(bytes) > 0;
    await line.transfer(line.client, client, line.host, host, 100 * KIB);
    expect(lengths.filter((bytes) => bytes === 1452).length).toBeGreaterThan(60);
  });
});

describe('a line that is bad', () => {
  it.each(Array.from({ length: deep(6, 60) }, (_, i) => i))(
    'but wide is not taken for narrow, or not for long (seed %i)',
    async (seed) => {
      const line = new Line();
      const { faults } = line.world.sandbox;
      Object.assign(faults, { loss: 0.02 * (1 + (seed % 5)), reorder: 0.1, reorderMs: 200, jitterMs: 30 });
      for (let i = 0; i < seed; i++) line.world.run(50);
      line.world.run(90_000);
      expect(line.client.machine.mtu).toBe(1420);
      await line.download(100 * KIB);
      faults.clear();
    },
  );

  it('and narrow is found out all the same', async () => {
    const line = new Line();
    line.mtu = 1400;
    Object.assign(line.world.sandbox.faults, { loss: 0.05, reorder: 0.1, reorderMs: 100 });
    line.world.run(12_000);
    expect(line.client.machine.mtu).toBe(1328);
    await line.download(100 * KIB);
  });
});

describe('a server whose hosts answer no echo', () => {
  it.each([1280, 1400])('leaves it to each connection to find that %i bytes are all (RFC 4821 §7.7)', async (mtu) => {
    const line = new Line('server');
    line.client.machine.host.claimEchoReplies(() => true);
    line.mtu = mtu;
    expect(await line.upload(100 * KIB)).toBeLessThan(10_000);
    expect(line.client.machine.mtu).toBe(1420);
  });
});
