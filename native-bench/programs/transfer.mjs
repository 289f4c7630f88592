/**
 * The measured client, a process of its own: moves bytes for some seconds, through a tunnel of ours or plain sockets, and prints
 * what it cost, as JSON. Argument: {"dist", "conf" (absent: plain sockets), "host", "port", "connections", "direction",
 * "warmupSeconds", "seconds", "watch": {name: pid of a process whose CPU time counts too}, "counter": path}.
 * `port` is a server that sends without end; `port` + 1 one that reads without end, and tells at the socket `counter` how much.
 */
import { once } from 'node:events';
import net from 'node:net';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromDist } from '../dist.mjs';
import { cpuSecondsOf } from '../processes.mjs';

const options = JSON.parse(process.argv[2]);
const { host, port, connections, direction, warmupSeconds, seconds, watch = {}, counter } = options;
const tunnel = options.conf ? await openTunnel() : undefined;
const sockets = (tunnel ?? { net }).net;

let read = 0;
const chunk = Buffer.alloc(64 << 10);
const open = await Promise.all(Array.from({ length: connections }, connect));
await sleep(warmupSeconds * 1000);

const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
const before = {
  bytes: await moved(),
  cpu: process.cpuUsage(),
  watched: watched(),
  loop: performance.eventLoopUtilization(),
};
const startedAt = performance.now();
await sleep(seconds * 1000);
const elapsedMs = performance.now() - startedAt;
const cpu = process.cpuUsage(before.cpu);
const after = watched();
const bytes = (await moved()) - before.bytes;
if (bytes === 0) throw new Error('nothing came through');
const result = {
  bytes,
  mbitPerSecond: (bytes * 8) / (elapsedMs * 1000),
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  watched: Object.fromEntries(Object.keys(watch).map((name) => [name, after[name] - before.watched[name]])),
  loopP99Ms: delay.percentile(99) / 1e6,
  loopUtilization: performance.eventLoopUtilization(before.loop).utilization,
  status: tunnel?.status().tunnel,
};
process.stdout.write(JSON.stringify(result), () => process.exit(0));

/** Bytes that have arrived so far. What a sender has got rid of may still stand in a queue. */
async function moved() {
  if (direction === 'download') return read;
  const chunks = await net.connect(counter).setEncoding('utf8').toArray();
  return Number(chunks.join(''));
}

/** CPU seconds so far of the processes to watch. */
function watched() {
  return Object.fromEntries(Object.entries(watch).map(([name, pid]) => [name, cpuSecondsOf(pid)]));
}

async function openTunnel() {
  const { Tunnel } = await fromDist(options.dist, 'node/tunnel.js');
  const { parseWireGuardConfig } = await fromDist(options.dist, 'core/tunnel/wireguard-config.js');
  const opened = await Tunnel.open({ wireguard: parseWireGuardConfig(options.conf) });
  await opened.ready({ signal: AbortSignal.timeout(15_000) });
  return opened;
}

async function connect() {
  const socket = await connected();
  socket.on('error', (error) => {
    console.error(`a connection failed: ${error.message}`);
    process.exit(1);
  });
  if (direction === 'download') socket.on('data', (data) => (read += data.length));
  else pour(socket);
  return socket;
}

/** A proxy that has just been started may not listen yet. */
async function connected() {
  for (const deadline = performance.now() + 10_000; ; await sleep(20)) {
    const socket = sockets.connect({ host, port: direction === 'download' ? port : port + 1 });
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

function pour(socket) {
  socket.write(chunk, () => pour(socket));
}

// Keeps the sockets referenced until the end.
export { open };
