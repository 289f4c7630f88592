import { describe, expect, it, vi } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { Burst } from '../../src/core/base/burst.ts';
import { openPorts } from '../../src/node/port-set.ts';
import type { OpenUdpPort } from '../../src/node/udp-port.ts';

const remotes = [1, 2].map((last) => ({ address: ip(`192.0.2.${last}`), port: 51820 }));
const handlers = { onBurst: () => {}, onDrain: () => {}, onTooLong: () => {}, onError: () => {} };

describe('ports to several servers', () => {
  it('seal in memory of the AEAD, one slab for all, and give it back when they are closed', async () => {
    const lent = new Uint8Array(4 * 128);
    const release = vi.fn();
    const open: OpenUdpPort = async () => ({
      transmit: new Burst(4, 128),
      flush: () => {},
      congested: false,
      local: remotes[0]!,
      close: async () => expect(release).not.toHaveBeenCalled(),
    });
    const ports = await openPorts(open, remotes, { mtu: 80, allocate: () => lent, release }, handlers);
    expect(ports.transmit.slab).toBe(lent);
    await ports.close();
    expect(release).toHaveBeenCalledExactlyOnceWith(lent);
  });
});
