import { describe, expect, it } from 'vitest';
import type { Work } from '../../src/bench/core-recording.ts';
import { CoreTransfer } from '../../src/bench/core-transfer.ts';
import { nodeCrypto } from '../../src/node/crypto/node.ts';

const MIB = 1 << 20;
const DOWNLOAD: Work = { direction: 'download', connections: 1, burst: 32, run: 32, stretchAcks: true };

describe('CoreTransfer', () => {
  it('moves a download in full bursts, which one acknowledgement answers', () => {
    using moving = new CoreTransfer(nodeCrypto, DOWNLOAD, 4 * MIB);
    const { totalNs, openNs, sealNs, answers } = moving.measure();
    expect(answers).toBeLessThan(0.1);
    for (const ns of [totalNs, openNs, sealNs]) expect(ns).toBeGreaterThan(0);
  });

  it.each([
    ['1 connection in bursts of 32', { stretchAcks: false }],
    ['1 connection in bursts of 2', { burst: 2, run: 2 }],
    ['200 connections', { connections: 200, run: 2, stretchAcks: false }],
  ])('has %s acknowledge every second packet', (_, work) => {
    using moving = new CoreTransfer(nodeCrypto, { ...DOWNLOAD, ...work }, 4 * MIB);
    expect(moving.measure().answers).toBeCloseTo(0.5, 1);
  });

  it('moves an upload, which the server acknowledges in bursts', () => {
    using moving = new CoreTransfer(nodeCrypto, { ...DOWNLOAD, direction: 'upload' }, 4 * MIB);
    const { totalNs, sealNs, answers } = moving.measure();
    expect(answers).toBeLessThan(0.1);
    for (const ns of [totalNs, sealNs]) expect(ns).toBeGreaterThan(0);
  });

  it('says as much of a transfer that is shorter than its samples', () => {
    using moving = new CoreTransfer(nodeCrypto, DOWNLOAD, 1000);
    for (const figure of Object.values(moving.measure())) expect(figure).toBeGreaterThan(0);
  });
});
