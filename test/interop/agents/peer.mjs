/**
 * One end of a transfer: over the kernel's TCP, or after `open` over a tunnel of ours. Commands: open, status, close, listen,
 * download, upload, dns, udpEcho, udpPing, connectError, hold.
 */
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from './rpc.mjs';
import { download, listen, measure, totals, upload } from './transfer.mjs';

let tunnel;
const stack = () => tunnel?.net ?? net;
const datagrams = () => tunnel?.dgram ?? dgram;
const held = [];
let heardAt = Number.NEGATIVE_INFINITY;

serve({
  async open({ conf, timeoutMs = 20_000, stateDir }) {
    const { Tunnel, parseWireGuardConfig } = await import('../../../dist/index.js');
    const started = performance.now();
    tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf), ...(stateDir ? { stateDir } : {}) });
    await tunnel.ready({ signal: AbortSignal.timeout(timeoutMs) });
    return { ms: performance.now() - started, status: tunnel.status() };
  },
  /** As open, without waiting for a handshake. */
  async start({ conf }) {
    const { Tunnel, parseWireGuardConfig } = await import('../../../dist/index.js');
    tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
  },
  ready: ({ timeoutMs = 20_000 }) => tunnel.ready({ signal: AbortSignal.timeout(timeoutMs) }),
  status: () => tunnel.status(),
  close: () => tunnel.close(),
  cpu: () => ({ ...process.cpuUsage(), rss: process.memoryUsage().rss }),
  async listen(options) {
    return { port: (await listen(stack(), options)).port };
  },
  download: (options) => download(stack(), options),
  upload: (options) => upload(stack(), options),
  measure: (options) => measure(stack(), options),
  totals: () => totals,
  /** A download whose progress the test may ask for while it runs. */
  async begin(options) {
    current = { received: 0, done: false, error: null, lastAt: performance.now(), longestGapMs: 0 };
    const run = current;
    download(stack(), {
      ...options,
      onProgress: (received) => {
        const now = performance.now();
        run.longestGapMs = Math.max(run.longestGapMs, now - run.lastAt);
        run.lastAt = now;
        run.received = received;
      },
    }).then(
      () => (run.done = true),
      (error) => (run.error = error.message),
    );
  },
  progress: () => current,
  async udpEcho({ host, port = 0, family = 4 }) {
    const socket = datagrams().createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.on('message', (message, from) => socket.send(message, from.port, from.address));
    socket.bind(port, host);
    await once(socket, 'listening');
    return { port: socket.address().port };
  },
  /** Sends one datagram of each size, in order, and says which sizes never came back. */
  async udpPing({ host, port, sizes, family = 4, timeoutMs = 1_000, tries = 3 }) {
    const socket = datagrams().createSocket(family === 6 ? 'udp6' : 'udp4');
    const lost = [];
    for (const size of sizes) {
      let back = false;
      for (let attempt = 0; attempt < tries && !back; attempt++) {
        const payload = Buffer.alloc(size, size & 255);
        socket.send(payload, port, host);
        const answer = once(socket, 'message', { signal: AbortSignal.timeout(timeoutMs) }).catch(() => undefined);
        const [message] = (await answer) ?? [];
        back = message?.equals(payload) ?? false;
      }
      if (!back) lost.push(size);
    }
    socket.close();
    return { lost };
  },
  /** Sends a datagram every 100 ms to an echo, from now on; `heard` tells how many milliseconds ago the last answer came. */
  async ask({ host, port }) {
    const socket = datagrams().createSocket('udp4');
    socket.on('message', () => (heardAt = performance.now()));
    setInterval(() => socket.send('anybody there?', port, host), 100);
  },
  heard: () => ({ msAgo: performance.now() - heardAt }),
  /** The error code of a connection attempt, or null if it succeeded. */
  connectError: ({ host, port, timeoutMs = 10_000 }) =>
    new Promise((resolve) => {
      const socket = stack().connect({ host, port });
      const timer = setTimeout(() => resolve('pending'), timeoutMs);
      const settle = (value) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(value);
      };
      socket.once('connect', () => settle(null));
      socket.once('error', (error) => settle(error.code));
    }),
  /** Opens `count` connections at once and downloads `bytes` on each. */
  many: ({ host, port, count, bytes }) => download(stack(), { host, port, bytes: bytes * count, flows: count }),
  /** Asks for a stream, reads nothing for `holdMs`, then reads all of it. */
  async hold({ host, port, bytes, holdMs }) {
    const socket = stack().connect({ host, port, allowHalfOpen: true });
    await once(socket, 'connect');
    socket.pause();
    socket.write(`${JSON.stringify({ mode: 'send', bytes, seed: 3 })}\n`);
    await sleep(holdMs);
    const { receive } = await import('./transfer.mjs');
    const result = await receive(socket, { seed: 3 });
    socket.end();
    return result;
  },
  /** The fate of a connection whose server answers `mode`. */
  fate: ({ host, port, mode, timeoutMs = 20_000 }) =>
    new Promise((resolve) => {
      const socket = stack().connect({ host, port, allowHalfOpen: true });
      const events = [];
      const timer = setTimeout(() => resolve({ events, timeout: true }), timeoutMs);
      socket.once('connect', () => socket.write(`${JSON.stringify({ mode })}\n`));
      socket.on('data', () => {});
      socket.once('end', () => events.push('end'));
      socket.once('error', (error) => events.push(error.code));
      socket.once('close', () => {
        clearTimeout(timer);
        resolve({ events });
      });
      held.push(socket);
    }),
  /** Writes on a connection to `ignore` without end; the code with which it dies. */
  writeUntilDeath: ({ host, port, timeoutMs }) =>
    new Promise((resolve) => {
      const socket = stack().connect({ host, port });
      const started = performance.now();
      const timer = setTimeout(() => resolve({ code: 'alive', ms: performance.now() - started }), timeoutMs);
      socket.once('connect', () => {
        socket.write(`${JSON.stringify({ mode: 'ignore' })}\n`);
        const pump = () => {
          if (!socket.destroyed) socket.write(Buffer.alloc(1024));
        };
        setInterval(pump, 200).unref();
      });
      socket.once('error', (error) => {
        clearTimeout(timer);
        resolve({ code: error.code, ms: performance.now() - started });
      });
      socket.once('end', () => resolve({ code: 'ended', ms: performance.now() - started }));
    }),
});

let current = null;
