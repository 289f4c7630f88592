import { describe, expect, it } from 'vitest';
import { CoreTransfer } from '../../src/bench/core-transfer.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';

const MIB = 1 << 20;

describe('CoreTransfer', () => {
  it('moves a download in full bursts, which one acknowledgement answers', () => {
    using moving = new CoreTransfer(nodeCrypto, { direction: 'download', connections: 1, burst: 32, run: 32 }, 4 * MIB);
    const { totalNs, openNs, sealNs, answers } = moving.measure();
    expect(answers).toBeLessThan(0.1);
    for (const ns of [totalNs, openNs, sealNs]) expect(ns).toBeGreaterThan(0);
  });

  it.each([
    [1, 2],
    [200, 32],
  ])('has %d connections acknowledge every second packet', (connections, burst) => {
    using moving = new CoreTransfer(nodeCrypto, { direction: 'download', connections, burst, run: 2 }, 4 * MIB);
    expect(moving.measure().answers).toBeCloseTo(0.5, 1);
  });

  it('moves an upload, which the server acknowledges in bursts', () => {
    using moving = new CoreTransfer(nodeCrypto, { direction: 'upload', connections: 1, burst: 32, run: 32 }, 4 * MIB);
    const { totalNs, sealNs, answers } = moving.measure();
    expect(answers).toBeLessThan(0.1);
    for (const ns of [totalNs, sealNs]) expect(ns).toBeGreaterThan(0);
  });

  it('says as much of a transfer that is shorter than its samples', () => {
    using moving = new CoreTransfer(nodeCrypto, { direction: 'download', connections: 1, burst: 32, run: 32 }, 1000);
    for (const figure of Object.values(moving.measure())) expect(figure).toBeGreaterThan(0);
  });
});
