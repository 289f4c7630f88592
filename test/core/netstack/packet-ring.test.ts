import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketRing } from '../../../src/core/netstack/packet-ring.ts';

const write = (ring: PacketRing, length: number, value: number): boolean => {
  const offset = ring.reserve(length);
  if (offset < 0) return false;
  expect(offset % 4).toBe(0);
  ring.bytes.fill(value, offset, offset + length);
  return true;
};

const read = (ring: PacketRing): Uint8Array => {
  const target = new Uint8Array(70_000);
  return target.subarray(3, 3 + ring.shift(target, 3));
};

describe('the ring of packets to send', () => {
  it('gives back what went in, in order, for any sequence of writes and reads', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.constant(0)), { maxLength: 200 }),
        (steps) => {
          const ring = new PacketRing(20);
          const model: [number, number][] = [];
          steps.forEach((length, i) => {
            if (length > 0) {
              const taken = write(ring, length, i);
              expect(taken).toBe(model.length < 20);
              if (taken) model.push([length, i]);
            } else if (model.length > 0) {
              const [expected, value] = model.shift()!;
              const packet = read(ring);
              expect([ring.count, packet.length, packet.every((byte) => byte === (value & 255))]).toEqual([
                model.length,
                expected,
                true,
              ]);
            }
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('uses its memory again: a queue that is drained does not grow', () => {
    const ring = new PacketRing(100);
    for (let i = 0; i < 8; i++) write(ring, 1400, i);
    const size = ring.bytes.length;
    for (let i = 0; i < 10_000; i++) {
      write(ring, 1400, i);
      ring.drop();
    }
    expect([ring.bytes.length, ring.count, size]).toEqual([16_384, 8, 16_384]);
  });

  it('is full at its capacity and empty after clear', () => {
    const ring = new PacketRing(2);
    expect([write(ring, 40, 1), write(ring, 40, 2), write(ring, 40, 3), ring.nextLength]).toEqual([
      true,
      true,
      false,
      40,
    ]);
    ring.clear();
    expect([ring.count, ring.nextLength, write(ring, 30, 3)]).toEqual([0, 0, true]);
  });
});
