import { EventEmitter } from 'node:events';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BundleParts, instantiate, loadBundle } from '../../src/torrent/bundle.ts';
import type { BundleHost } from '../../src/torrent/bundle-host.ts';
import { checkCalls, checkClient, type Probe, probeHost } from '../../src/torrent/self-check.ts';

type Loose = { prototype: Record<string, unknown> };

describe('the check at start', () => {
  let fresh: () => { parts: BundleParts; probe: Probe; host: BundleHost };

  beforeAll(async () => {
    const bundle = await loadBundle();
    fresh = () => {
      const probe = probeHost();
      const host = { ...probe.host };
      return { probe, host, parts: instantiate(bundle, host) };
    };
  });

  it('passes the bundle as it was built', async () => {
    const { parts, probe } = fresh();
    await checkCalls(parts, probe);
  });

  it.each([
    ['the listener for peers', 'ConnPool', (_: BundleParts) => class {}],
    [
      'the DHT',
      'DhtSocket',
      (_: BundleParts) =>
        class extends EventEmitter {
          query() {}
          destroy() {}
        },
    ],
    [
      'a UDP tracker',
      'UdpTracker',
      (_: BundleParts) =>
        class {
          cleanupFns = [];
          announce() {}
        },
    ],
    [
      'an HTTP tracker',
      'HttpTracker',
      (_: BundleParts) =>
        class {
          announce() {}
        },
    ],
    ['the tracker server', 'TrackerServer', (_: BundleParts) => class extends EventEmitter {}],
  ])('refuses when %s takes its socket from elsewhere', async (what, name, other) => {
    const { parts, probe } = fresh();
    const doctored = { ...parts, [name]: other(parts) } as unknown as BundleParts;
    await expect(checkCalls(doctored, probe)).rejects.toMatchObject({
      code: 'ERR_WEBTORRENT_SHAPE',
      message: expect.stringContaining(`not as expected: ${what} made nothing instead of`),
    });
  });

  it.each([
    ['dialling a peer', 'Torrent', '_drain'],
    ['a web seed', 'WebConn', 'httpRequest'],
  ] as const)('refuses when %s happens in another method', async (what, name, method) => {
    const { parts, probe } = fresh();
    (parts[name] as unknown as Loose).prototype[method] = () => {};
    await expect(checkCalls(parts, probe)).rejects.toThrow(`${what} made nothing`);
  });

  it('refuses when a socket is opened besides the expected one', async () => {
    const { parts, probe, host } = fresh();
    const prototype = (parts.Torrent as unknown as { prototype: { _drain(): void } }).prototype;
    const drain = prototype._drain;
    prototype._drain = function () {
      host.net.connect({ host: '198.51.100.1', port: 80 });
      drain.call(this);
    };
    await expect(checkCalls(parts, probe)).rejects.toThrow('net.connect 198.51.100.1:80, net.connect 192.0.2.1:6881');
  });

  it('refuses WebRTC and uTP that are there after all', async () => {
    const { parts, probe } = fresh();
    Object.assign(parts.WebTorrent, { WEBRTC_SUPPORT: true });
    await expect(checkCalls(parts, probe)).rejects.toThrow('WebRTC and uTP');
  });

  it.each([
    ['a listener of its own', { _connPool: { tcpServer: {} }, dht: false }, 'listener'],
    ['no listener', { dht: false }, 'listener'],
    ['a DHT socket of its own', { dht: { _rpc: { socket: { socket: {} } } } }, 'dht'],
    ['port mapping', { dht: false, natTraversal: {} }, 'natTraversal'],
    ['uTP', { dht: false, utp: true }, 'utp'],
  ])('destroys and refuses a client with %s', (_what, parts, fault) => {
    const listener = {};
    let destroyed = false;
    const client = Object.assign(
      new EventEmitter(),
      {
        _connPool: { tcpServer: listener },
        destroy: () => {
          destroyed = true;
        },
      },
      parts,
    );
    if (fault === 'listener' && !('_connPool' in parts)) Object.assign(client, { _connPool: undefined });
    expect(() => checkClient(client as never, new WeakSet([listener]))).toThrow(fault);
    expect(destroyed).toBe(true);
  });
});
