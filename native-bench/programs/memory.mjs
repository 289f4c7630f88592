/**
 * Prints how much memory connections through a tunnel hold, as JSON. They download for `seconds`, or with 0 they stay idle.
 * Argument: {"dist", "conf", "host", "port", "connections", "seconds"}. Wants --expose-gc.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fromDist } from '../dist.mjs';

const { dist, conf, host, port, connections, seconds } = JSON.parse(process.argv[2]);
const { Tunnel, parseWireGuardConfig } = await fromDist(dist, 'index.js');
const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
await tunnel.ready({ signal: AbortSignal.timeout(15_000) });

// What the first ones bring into being is not theirs.
await open(100);
const before = await held();
const sockets = await open(connections);
if (seconds > 0) {
  for (const socket of sockets) socket.on('data', () => {});
  await sleep(seconds * 1000);
}
const after = await held();
const result = { heapBytes: after.heap - before.heap, residentBytes: after.resident - before.resident };
process.stdout.write(JSON.stringify(result), () => process.exit(0));

/** No more at once than a server's backlog takes. */
async function open(count) {
  const opened = [];
  while (opened.length < count) {
    const batch = Array.from({ length: Math.min(100, count - opened.length) }, connect);
    opened.push(...(await Promise.all(batch)));
  }
  return opened;
}

async function connect() {
  // The server at `port` + 1 reads and says nothing.
  const socket = tunnel.net.connect({ host, port: seconds > 0 ? port : port + 1 });
  socket.pause();
  await once(socket, 'connect');
  return socket;
}

async function held() {
  await sleep(seconds > 0 ? 0 : 500);
  // What a first collection finalizes, a second frees.
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}
