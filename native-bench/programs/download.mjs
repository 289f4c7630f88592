/**
 * The measured client, a process of its own: moves bytes through a tunnel for some seconds and prints what it cost, as JSON.
 * Argument: {"dist", "conf" (absent: plain sockets), "host", "port", "connections", "direction", "warmupSeconds", "seconds"}.
 * `port` is a server that sends without end; `port` + 1 one that reads without end.
 */
import { once } from 'node:events';
import net from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromDist } from '../backends.mjs';

const options = JSON.parse(process.argv[2]);
const { host, port, connections, direction, warmupSeconds, seconds } = options;
const tunnel = options.conf ? await openTunnel() : undefined;
const sockets = (tunnel ?? { net }).net;

let bytes = 0;
const chunk = Buffer.alloc(64 << 10);
const open = await Promise.all(Array.from({ length: connections }, connect));
await sleep(warmupSeconds * 1000);

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const before = { bytes, cpu: process.cpuUsage(), at: performance.now() };
await sleep(seconds * 1000);
const cpu = process.cpuUsage(before.cpu);
const moved = bytes - before.bytes;
const result = {
  bytes: moved,
  mbitPerSecond: (moved * 8) / ((performance.now() - before.at) * 1000),
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  loopP99Ms: delay.percentile(99) / 1e6,
  crypto: tunnel?.status().tunnel.crypto,
  drops: tunnel?.status().tunnel.drops,
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));

async function openTunnel() {
  const { Tunnel } = await fromDist(options.dist, 'node/tunnel.js');
  const { parseWireGuardConfig } = await fromDist(options.dist, 'core/tunnel/wireguard-config.js');
  const opened = await Tunnel.open({ wireguard: parseWireGuardConfig(options.conf) });
  await opened.ready({ signal: AbortSignal.timeout(15_000) });
  return opened;
}

async function connect() {
  const socket = sockets.connect({ host, port: direction === 'download' ? port : port + 1 });
  await once(socket, 'connect');
  socket.on('error', (error) => {
    console.error(`a connection failed: ${error.message}`);
    process.exit(1);
  });
  if (direction === 'download') socket.on('data', (data) => (bytes += data.length));
  else pour(socket);
  return socket;
}

/** Counts a chunk when it was taken, so what waits in the socket is not counted twice. */
function pour(socket) {
  socket.write(chunk, () => {
    bytes += chunk.length;
    pour(socket);
  });
}

// Keeps the sockets referenced until the end.
export { open };
