import { describe, expect, it } from 'vitest';
import { Burst } from '../../../src/core/base/burst.ts';
import { INITIATION_LENGTH } from '../../../src/core/wire/wireguard.ts';
import { REMOTE, TunnelWorld } from '../../support/tunnel-world.ts';

describe('what a tunnel transmits', () => {
  it('holds the handshake that a packet asks for by the age of its key, in the burst of that packet (W§6.2)', () => {
    const world = new TunnelWorld({}, 0).open();
    world.pass(120.5);
    const out = new Burst(8, 2048);
    world.client.handleCommand({ kind: 'tcp-connect', socket: 1, to: REMOTE }, world.now);
    world.client.transmit(out, world.now);
    const lengths = Array.from(out.lengths.subarray(0, out.count));
    expect(lengths).toHaveLength(2);
    expect(lengths[0]).toBeLessThan(INITIATION_LENGTH);
    expect(lengths[1]).toBe(INITIATION_LENGTH);
  });
});
