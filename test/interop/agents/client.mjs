/**
 * The library as an embedder uses it: a tunnel, and a WebTorrent client over it. Commands: open, ready, status, events, close, torrent,
 * transfer, announce, announcePort, listen, fetch, download, upload, connect, send, lookup, probe, crash.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './rpc.mjs';

let tunnel;
let webtorrent;
let transfer;
const events = [];
const keep = [];
// The clock may be stepped below; the moments told are the host's.
const { timeOrigin } = performance;
const hostMs = () => timeOrigin + performance.now();

const EVENTS = ['state', 'handshake', 'killswitch.engaged', 'killswitch.released', 'probe', 'port.mapped', 'port.lost'];
const MORE_EVENTS = ['client.paused', 'client.resumed', 'client.port', 'endpoint.changed', 'mtu.changed'];

serve({
  /** `wireguard` and `fallback` are texts of `.conf` files; what else there is goes to `Tunnel.open`. */
  async open({ conf, options = {} }) {
    const { Tunnel, parseWireGuardConfig } = await import('../../../dist/index.js');
    const fallback = options.fallback?.map((text) => parseWireGuardConfig(text));
    const given = { ...options, ...(fallback ? { fallback } : {}) };
    tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf), ...given });
    for (const event of [...EVENTS, ...MORE_EVENTS])
      tunnel.on(event, (facts) => events.push({ event, atMs: hostMs(), ...facts }));
  },
  async ready({ timeoutMs = 20_000 }) {
    await tunnel.ready({ signal: AbortSignal.timeout(timeoutMs) });
  },
  status: () => tunnel.status(),
  events: () => events,
  async close() {
    if (webtorrent) await new Promise((resolve) => webtorrent.destroy(resolve));
    await tunnel.close();
    webtorrent = undefined;
  },
  /** Adds a .torrent file to a WebTorrent client over the tunnel, which is made at the first. */
  async torrent({ file, folder, client = {}, options = {} }) {
    const { createWebTorrent } = await import('../../../dist/torrent/webtorrent.js');
    webtorrent ??= await createWebTorrent(tunnel, client);
    webtorrent.on('error', () => {});
    transfer = webtorrent.add(readFileSync(file), { path: folder, ...options });
    transfer.on('warning', () => {});
    transfer.on('error', () => {});
  },
  transfer() {
    const { downloaded, received, progress, numPeers, done, paused } = transfer;
    return { downloaded, received, progress, numPeers, done, paused, announcedPort: webtorrent.torrentPort };
  },
  async announce() {
    const { announceAgain } = await import('../../../dist/torrent/webtorrent.js');
    announceAgain(webtorrent);
  },
  async announcePort({ port }) {
    const { announcePort } = await import('../../../dist/torrent/webtorrent.js');
    announcePort(webtorrent, port);
  },
  addPeer: ({ address }) => transfer.addPeer(address),
  /** A forwarded listener that says hello. */
  async listen() {
    const server = tunnel.net.createServer((socket) => socket.end('hello'));
    server.on('error', () => {});
    keep.push(server);
    server.listen({ forwarded: true });
    await once(server, 'listening');
  },
  async fetch({ url, timeoutMs = 5_000 }) {
    try {
      const response = await tunnel.fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
      return { status: response.status, text: (await response.text()).slice(0, 200) };
    } catch (error) {
      return { error: error.cause?.code ?? error.code ?? error.name };
    }
  },
  /** A whole file, read no faster than that: its SHA-256, and how long it took. */
  async download({ url, bytesPerSecond = Number.POSITIVE_INFINITY, timeoutMs = 60_000 }) {
    const begun = performance.now();
    const response = await tunnel.fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    const hash = createHash('sha256');
    for await (const chunk of response.body) {
      hash.update(chunk);
      await sleep((1000 * chunk.length) / bytesPerSecond);
    }
    return { sha256: hash.digest('hex'), ms: performance.now() - begun };
  },
  /** So many bytes to the server: whether it got them, and how long it took. */
  async upload({ url, bytes, timeoutMs = 60_000 }) {
    const begun = performance.now();
    const body = randomBytes(bytes);
    const response = await tunnel.fetch(url, { method: 'PUT', body, signal: AbortSignal.timeout(timeoutMs) });
    const told = await response.text();
    return { intact: told === createHash('sha256').update(body).digest('hex'), ms: performance.now() - begun };
  },
  /** The error code of a connection attempt, or null if it succeeded. */
  connect: ({ host, port, timeoutMs = 5_000 }) =>
    new Promise((resolve) => {
      const socket = tunnel.net.connect({ host, port });
      const timer = setTimeout(() => settle('pending'), timeoutMs);
      const settle = (value) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(value);
      };
      socket.once('connect', () => settle(null));
      socket.once('error', (error) => settle(error.code ?? error.message));
    }),
  /** Sends one datagram; the error code, or null. */
  send: ({ host, port, text = 'x' }) =>
    new Promise((resolve) => {
      const socket = tunnel.dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
      socket.once('error', (error) => resolve(error.code));
      socket.send(Buffer.from(text, 'latin1'), port, host, (error) => {
        resolve(error?.code ?? null);
        setTimeout(() => socket.close(), 100);
      });
    }),
  async lookup({ name }) {
    try {
      const answers = await tunnel.dns.promises.lookup(name, { all: true });
      return answers.map(({ address }) => address);
    } catch (error) {
      return error.code;
    }
  },
  probe: (options) => tunnel.probe(options),
  /** Ends as programs do that go wrong. */
  crash({ how }) {
    if (how === 'exception') setTimeout(() => nobodyKnowsThisName(), 50);
    if (how === 'rejection') setTimeout(() => void Promise.reject(new Error('nobody catches this')), 50);
    if (how === 'memory') setTimeout(() => fillMemory(), 50);
  },
});

function fillMemory() {
  const heap = [];
  for (;;) heap.push(new Array(100_000).fill(heap.length));
}
