import { afterEach, describe, expect, it } from 'vitest';
import { clientOptions } from '../../src/torrent/options.ts';
import { createWebTorrent } from '../../src/torrent/webtorrent.ts';
import { loopbackHost } from '../support/loopback-host.ts';
import { clean, client } from './swarm.ts';

afterEach(clean);

describe('options that would lead around the tunnel', () => {
  it.each([
    ['utp', { utp: true }],
    ['lsd', { lsd: true }],
    ['natUpnp', { natUpnp: 'permanent' }],
    ['natPmp', { natPmp: true }],
    ['tracker.wrtc', { tracker: { wrtc: {} } }],
    ['tracker.rtcConfig', { tracker: { rtcConfig: { iceServers: [] } } }],
    ['tracker.proxyOpts', { tracker: { proxyOpts: { httpAgent: {} } } }],
    ['dht.socket', { dht: { socket: {} } }],
    ['dht.krpc', { dht: { krpc: {} } }],
    ['dht.krpcSocket', { dht: { krpcSocket: {} } }],
    ['dht.isIP', { dht: { isIP: () => true } }],
  ])('are refused before anything is opened: %s', async (name, options) => {
    const host = loopbackHost();
    const made = createWebTorrent(host, options as object);
    await expect(made).rejects.toThrow(TypeError);
    await expect(made).rejects.toThrow(`"${name}" cannot be used in a tunnel: `);
    expect(host.notes).toEqual([]);
  });

  it('may be named if they are off', () => {
    expect(clientOptions({ utp: false, lsd: false, natUpnp: false, natPmp: false } as object)).toMatchObject({
      utp: false,
      lsd: false,
      natUpnp: false,
      natPmp: false,
    });
  });
});

describe('options that can be carried', () => {
  it('reach WebTorrent as they are', () => {
    const given = { maxConns: 7, torrentPort: 6881, dht: { bootstrap: ['a:1'] }, tracker: { announce: ['udp://a:1'] } };
    expect(clientOptions(given)).toEqual({
      maxConns: 7,
      torrentPort: 6881,
      dht: { bootstrap: ['a:1'] },
      tracker: { announce: ['udp://a:1'], wrtc: false },
      utp: false,
      lsd: false,
      natPmp: false,
      natUpnp: false,
    });
  });

  it('are not written into', async () => {
    const options = Object.freeze({ tracker: Object.freeze({}), dht: Object.freeze({ bootstrap: false }) });
    const made = await client(loopbackHost(), options);
    expect(made.listening).toBe(true);
  });

  it('switch trackers and DHT off', async () => {
    const host = loopbackHost();
    const made = await client(host, { dht: false, tracker: false });
    expect(made).toMatchObject({ dht: false, tracker: false, utp: false, lsd: false });
    expect(host.notes).toEqual(['net.createServer', 'listen 0']);
  });

  it('name the ports to listen on, and reject if one is taken', async () => {
    const dht = { bootstrap: false };
    const taken = await client(loopbackHost(), { dht });
    const other = createWebTorrent(loopbackHost(), { dht, dhtPort: taken.dhtPort });
    await expect(other).rejects.toThrow('EADDRINUSE');
    const first = await client(loopbackHost(), { dht: false });
    const second = createWebTorrent(loopbackHost(), { dht: false, torrentPort: first.torrentPort });
    await expect(second).rejects.toThrow('EADDRINUSE');
  });
});

describe('a client', () => {
  it('has no streaming server: that would listen outside the tunnel', async () => {
    const made = (await client(loopbackHost(), { dht: false })) as unknown as { createServer(): unknown };
    expect(() => made.createServer()).toThrow('listens outside the tunnel');
  });

  it('leaves WebSocket trackers alone, with a warning', async () => {
    const host = loopbackHost();
    const made = await client(host, { dht: false });
    const torrent = made.add('0123456789012345678901234567890123456789', { announce: ['wss://tracker.test'] });
    const warning = await new Promise((resolve) => torrent.once('warning', resolve));
    expect(String(warning)).toContain('Unsupported tracker protocol: wss://tracker.test');
    expect(host.noted('net.connect', 'fetch', 'dgram', 'dns')).toEqual([]);
  });

  it('dials an IPv6 peer through the host too', async () => {
    const host = loopbackHost();
    const made = await client(host, { dht: false });
    const torrent = made.add('0123456789012345678901234567890123456789');
    await new Promise<void>((resolve) => torrent.once('infoHash', () => resolve()));
    torrent.addPeer('[::1]:9');
    expect(host.noted('net.connect')).toEqual(['net.connect ::1:9']);
  });
});
