import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { Burst, TRANSPORT_HEADER_LENGTH } from '../../../src/core/base/burst.ts';
import type { Crypto } from '../../../src/core/base/crypto.ts';
import { nodeCrypto } from '../../../src/node/crypto/node.ts';
import { A_OUTER, advance, aToB, bToA, connectedPair, exchange, pair, texts } from '../../support/wireguard-ends.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('a pair of devices', () => {
  it('carries packets both ways after one handshake that the first packet starts', () => {
    const { a, b } = pair();
    expect(a.send(aToB('one'))).toBe('staged');
    exchange(a, b);
    expect(texts(b.inbox)).toEqual(['one']);
    expect(b.send(bToA('two'))).toBe('sent');
    expect(a.send(aToB('three'))).toBe('sent');
    exchange(a, b);
    expect(texts(a.inbox)).toEqual(['two']);
    expect(texts(b.inbox)).toEqual(['one', 'three']);
  });

  it('keeps carrying packets over an hour of rekeys', () => {
    const { a, b } = connectedPair();
    let count = 0;
    for (let second = 1; second < 3600; second++) {
      advance(a, b, second * 1000);
      a.send(aToB(`${second}`));
      b.send(bToA(`${second}`));
      count++;
      exchange(a, b);
    }
    expect(b.inbox.length).toBe(count);
    expect(a.inbox.length).toBe(count);
    const handshakes = a.events.filter((event) => event.kind === 'handshake').length;
    expect(handshakes).toBeGreaterThanOrEqual(29);
    expect(handshakes).toBeLessThanOrEqual(31);
  });
});

describe('the deadline of a device', () => {
  it('is the earliest of all its peers, however many there are (W§6)', () => {
    const { a } = pair();
    const { random, device, now } = a;
    expect(device.nextTimeout()).toBeUndefined();
    const stranger = { allowedIps: [], endpoint: A_OUTER };
    const first = a.addPeer({ publicKey: random.bytes(32) }, { ...stranger, persistentKeepaliveSeconds: 25 });
    const alone = device.nextTimeout()!;
    expect(alone).toBeGreaterThan(now);
    const second = a.addPeer({ publicKey: random.bytes(32) }, { ...stranger, persistentKeepaliveSeconds: 1 });
    expect(device.nextTimeout()).toBe(now + 1_000);
    device.removePeer(first, now);
    expect(device.nextTimeout()).toBe(now + 1_000);
    device.removePeer(second, now);
    expect(device.nextTimeout()).toBeUndefined();
  });
});

/** Real for handshakes, which have associated data; free of cost and memory for packets, which have none. */
const packetsForFree: Crypto = {
  ...nodeCrypto,
  aeadKey(key) {
    const real = nodeCrypto.aeadKey(key);
    return {
      seal: (buffer, offset, length, low, high, ad) => {
        if (ad) real.seal(buffer, offset, length, low, high, ad);
      },
      open: (buffer, offset, length, low, high, ad) => !ad || real.open(buffer, offset, length, low, high, ad),
      wipe: () => real.wipe(),
    };
  },
};

describe('the path of packets', () => {
  it('allocates nothing for a packet, outgoing or incoming (DESIGN, "Speed is part of the design")', () => {
    const { a, b } = connectedPair({ crypto: packetsForFree });
    const burst = new Burst(64);
    const packet = aToB('a packet');
    let received = 0;
    const sink = { handlePacket: (): void => void received++ };
    const run = (bursts: number): void => {
      for (let i = 0; i < bursts; i++) {
        burst.clear();
        while (!burst.full) {
          burst.slab.set(packet, burst.nextSlot() + TRANSPORT_HEADER_LENGTH);
          a.device.sendPacket(burst, packet.length, a.now);
        }
        burst.endpoints.fill(A_OUTER);
        b.device.handleBurst(burst, b.now, sink);
      }
    };
    run(5_000); // until the optimising compiler has seen it all
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    run(10_000);
    const perPacket = (process.memoryUsage().heapUsed - before) / 640_000;
    expect(received).toBe(15_000 * 64);
    // The smallest object has 16 bytes. The heap itself grows by a page of a megabyte, whatever is measured.
    expect(perPacket).toBeLessThan(4);
  });
});
