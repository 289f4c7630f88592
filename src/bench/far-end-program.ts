/**
 * The other end of a tunnel, on a thread or in a process of its own: our machine and sockets on the fastest UDP port that works
 * here, and in the tunnel a server that sends without end and one that reads without end. It tells its UDP port, ends with its
 * parent, and takes `FarEndOptions` as its argument.
 */

import { createServer } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import { ip, prefix } from '../core/base/address.ts';
import { fromBase64 } from '../core/base/bytes.ts';
import type { SocketEvent } from '../core/netstack/messages.ts';
import { TunnelMachine } from '../core/tunnel/tunnel-machine.ts';
import { systemClock } from '../node/clock.ts';
import { selectCrypto } from '../node/crypto/select.ts';
import { Driver } from '../node/driver.ts';
import type { EnginePort } from '../node/engine.ts';
import type { TunnelSocket } from '../node/net-socket.ts';
import { systemRandom } from '../node/random.ts';
import { SocketLayer } from '../node/socket-layer.ts';
import { Poller } from '../node/udp/poller.ts';
import { selectUdp } from '../node/udp/select.ts';
import { openDgramPort, type UdpPort, type UdpPortHandlers, type UdpPortOptions } from '../node/udp-port.ts';
import { FAR_END, type FarEndOptions } from './far-end.ts';

const PACE_MS = 2;
/** What could not be sent for so long is not caught up with. */
const PACE_LIMIT_MS = 20;

const options: FarEndOptions = parentPort ? workerData : JSON.parse(process.argv[2]!);
const chunk = Buffer.alloc(64 << 10);
let received = 0;

const crypto = await selectCrypto();
const { driver, engine } = start();
const { net } = new SocketLayer(engine);
net.createServer(options.mbitPerSecond === undefined ? pour : pace(options.mbitPerSecond)).listen(FAR_END.port);
net.createServer(count).listen(FAR_END.port + 1);
createServer((socket) => socket.on('error', () => {}).end(`${received}`)).listen(options.counter, async () => {
  const port = await openPort();
  driver.attach(port);
  const told = { port: port.local.port };
  if (parentPort) parentPort.postMessage(told);
  else process.send!(told);
});
process.on('disconnect', () => process.exit(0));

function start(): { driver: Driver; engine: EnginePort } {
  let stamps = 0;
  const machine = new TunnelMachine(
    {
      privateKey: fromBase64(options.privateKey)!,
      peers: [{ publicKey: fromBase64(options.clientPublicKey)!, allowedIps: [prefix(ip(FAR_END.client), 32)] }],
      addresses: [ip(FAR_END.host)],
      dnsServers: [],
      mtu: FAR_END.mtu,
      crypto,
      random: systemRandom,
      timestamp: () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, ++stamps),
    },
    systemClock.now(),
  );
  const engine: EnginePort = {
    onEvent: (_: SocketEvent) => {},
    post: (command) => driver.mutate((now) => machine.handleCommand(command, now)),
  };
  const driver = new Driver({
    machine,
    clock: systemClock,
    onTurn() {
      while (machine.nextTunnelEvent());
      for (let event = machine.nextOutput(); event; event = machine.nextOutput()) engine.onEvent(event);
    },
  });
  return { driver, engine };
}

async function openPort(): Promise<UdpPort> {
  const { allocate, release } = crypto;
  const at: UdpPortOptions = { bind: { address: ip('127.0.0.1'), port: 0 }, mtu: FAR_END.mtu, allocate, release };
  const handlers: UdpPortHandlers = {
    onBurst: (burst) => driver.handleBurst(burst),
    onDrain: () => driver.handleDrain(),
    onError: (error) => console.error(`UDP port: ${error.message}`),
  };
  const libc = selectUdp();
  if (!libc) return openDgramPort(at, handlers);
  const poller = new Poller(libc, { allocate, release });
  const port = poller.open(at, handlers);
  // This process has nothing else to do: it sleeps in the poller as the engine’s worker does, and timers of Node's may be a millisecond late.
  const turn = (): void => {
    const next = driver.nextTurn();
    poller.wait(next === undefined ? 1 : Math.min(1, next - systemClock.now()));
    poller.receive();
    driver.handleDue();
    setImmediate(turn);
  };
  turn();
  return port;
}

function pour(socket: TunnelSocket): void {
  socket.on('error', () => {});
  const fill = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}

/** Sends at a rate, in shares to all connections. */
function pace(mbitPerSecond: number): (socket: TunnelSocket) => void {
  const bytesPerMs = (mbitPerSecond * 1e6) / 8 / 1000;
  const sockets = new Set<TunnelSocket>();
  let owed = 0;
  let turn = 0;
  let at = performance.now();
  setInterval(() => {
    const now = performance.now();
    owed = Math.min(owed + (now - at) * bytesPerMs, PACE_LIMIT_MS * bytesPerMs);
    at = now;
    const open = [...sockets];
    for (let blocked = 0; owed >= 1 && blocked < open.length; ) {
      const socket = open[turn++ % open.length]!;
      if (socket.writableNeedDrain) blocked++;
      else {
        const bytes = Math.min(Math.floor(owed), chunk.length);
        socket.write(chunk.subarray(0, bytes));
        owed -= bytes;
        blocked = 0;
      }
    }
  }, PACE_MS);
  return (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
}

function count(socket: TunnelSocket): void {
  socket.on('error', () => {});
  socket.on('data', (data: Buffer) => {
    received += data.length;
  });
}
