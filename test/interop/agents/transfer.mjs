/**
 * Transfers over anything shaped like node:net: the kernel's TCP or the tunnel's. A connection begins with one line of JSON that
 * says what the server shall do: `send` so many bytes, `receive` until the end and report, or `echo`.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { matches, slice } from './pattern.mjs';

const CHUNK = 64 * 1024;

/** Bytes that `receive` requests have brought to servers of this process. */
export const totals = { received: 0 };

/** Starts the server; resolves with its port. */
export async function listen(net, { host, port = 0 }) {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    handle(socket).catch((error) => socket.destroy(error));
  });
  server.listen(host === undefined ? { port } : { port, host });
  await once(server, 'listening');
  return { server, port: server.address().port };
}

async function handle(socket) {
  const { request, rest } = await readRequest(socket);
  if (request.mode === 'send') return send(socket, request);
  if (request.mode === 'receive') return receiveAndReport(socket, request, rest);
  if (request.mode === 'reset') return socket.resetAndDestroy();
  if (request.mode === 'ignore') return undefined;
  if (rest.length > 0) socket.write(rest);
  socket.pipe(socket);
  socket.resume();
  return undefined;
}

async function readRequest(socket) {
  let head = Buffer.alloc(0);
  for (;;) {
    const [chunk] = await once(socket, 'data');
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(10);
    if (end < 0) continue;
    socket.pause();
    return { request: JSON.parse(head.subarray(0, end).toString()), rest: head.subarray(end + 1) };
  }
}

/** Writes `bytes` of the pattern with backpressure, at `bytesPerSecond` if given, then ends. */
export async function send(socket, { bytes, seed = 1, bytesPerSecond = 0 }) {
  const started = performance.now();
  for (let offset = 0; offset < bytes; ) {
    const chunk = slice(seed, offset, Math.min(CHUNK, bytes - offset));
    offset += chunk.length;
    if (!socket.write(chunk)) await once(socket, 'drain');
    if (bytesPerSecond > 0) {
      const aheadMs = (offset / bytesPerSecond) * 1000 - (performance.now() - started);
      if (aheadMs > 0) await sleep(aheadMs);
    }
  }
  socket.end();
}

/** Reads to the end; throws on the first byte that is not the pattern's. */
export function receive(socket, { seed = 1, rest = Buffer.alloc(0), onProgress } = {}) {
  return new Promise((resolve, reject) => {
    let received = 0;
    let firstByteMs;
    const started = performance.now();
    const take = (chunk) => {
      firstByteMs ??= performance.now() - started;
      if (!matches(seed, received, chunk)) return socket.destroy(new Error(`wrong bytes after ${received}`));
      received += chunk.length;
      totals.received += chunk.length;
      onProgress?.(received);
      return undefined;
    };
    if (rest.length > 0) take(rest);
    socket.on('data', take);
    socket.on('end', () => resolve({ received, ms: performance.now() - started, firstByteMs }));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`closed after ${received}`)));
    socket.resume();
  });
}

async function receiveAndReport(socket, request, rest) {
  const { received, ms } = await receive(socket, { ...request, rest });
  socket.end(JSON.stringify({ received, ms }));
}

async function open(net, { host, port, allowHalfOpen = true }) {
  const socket = net.connect({ host, port, allowHalfOpen });
  await once(socket, 'connect');
  return socket;
}

/** `flows` downloads side by side, `bytes` in all. */
export async function download(net, { host, port, bytes, seed = 1, flows = 1, bytesPerSecond = 0, onProgress }) {
  const started = performance.now();
  const each = Math.ceil(bytes / flows);
  const results = await Promise.all(
    Array.from({ length: flows }, async () => {
      const socket = await open(net, { host, port });
      socket.write(`${JSON.stringify({ mode: 'send', bytes: each, seed, bytesPerSecond })}\n`);
      const result = await receive(socket, { seed, onProgress });
      socket.end();
      return result.received;
    }),
  );
  return { received: results.reduce((a, b) => a + b, 0), expected: each * flows, ms: performance.now() - started };
}

/** `flows` uploads side by side; the server's count comes back after our half-close. */
export async function upload(net, { host, port, bytes, seed = 1, flows = 1, bytesPerSecond = 0 }) {
  const started = performance.now();
  const each = Math.ceil(bytes / flows);
  const results = await Promise.all(
    Array.from({ length: flows }, async () => {
      const socket = await open(net, { host, port });
      socket.write(`${JSON.stringify({ mode: 'receive', seed })}\n`);
      let reply = '';
      socket.on('data', (chunk) => {
        reply += chunk;
      });
      const ended = once(socket, 'end');
      await send(socket, { bytes: each, seed, bytesPerSecond });
      await ended;
      return JSON.parse(reply).received;
    }),
  );
  return { received: results.reduce((a, b) => a + b, 0), expected: each * flows, ms: performance.now() - started };
}

/**
 * How many bytes `flows` connections bring in (or take out) in `seconds`, from the first SYN on; then they are reset. For uploads
 * the server's own count is the measure: ask it for `totals` before and after.
 */
export async function measure(net, { host, port, flows = 1, seconds, direction = 'download' }) {
  let bytes = 0;
  const sockets = Array.from({ length: flows }, () => {
    const socket = net.connect({ host, port });
    socket.on('error', () => {});
    if (direction === 'download') {
      socket.on('data', (chunk) => {
        bytes += chunk.length;
      });
    }
    socket.once('connect', () => {
      if (direction === 'download') socket.write(`${JSON.stringify({ mode: 'send', bytes: 1e12 })}\n`);
      else {
        socket.write(`${JSON.stringify({ mode: 'receive', seed: 1 })}\n`);
        send(socket, { bytes: 1e12 }).catch(() => {});
      }
    });
    return socket;
  });
  await sleep(seconds * 1000);
  const measured = bytes;
  // Closed, Linux would go on sending what is in its buffers, in the middle of the next measurement.
  for (const socket of sockets) socket.resetAndDestroy();
  return { bytes: measured, seconds };
}
