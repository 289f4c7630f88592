/**
 * The other end of the loopback section: the same core, driver and sockets behind a UDP port that learns its peer, and in the
 * tunnel the servers of source.mjs. Started by fork: tells its port, and ends with its parent.
 * Argument: {"dist", "privateKey", "clientPublicKey", "crypto", "udp", "counter"}.
 */
import { createServer } from 'node:net';
import { fromDist } from '../dist.mjs';

const options = JSON.parse(process.argv[2]);
const use = (name) => fromDist(options.dist, name);
const [
  { TunnelMachine },
  { Driver },
  { selectUdpPorts },
  { SocketLayer },
  { selectCrypto },
  { systemClock },
  { systemRandom },
  { ip, prefix },
] = await Promise.all(
  [
    'core/tunnel/tunnel-machine.js',
    'node/driver.js',
    'node/udp/select.js',
    'node/socket-layer.js',
    'node/crypto/select.js',
    'node/clock.js',
    'node/random.js',
    'core/base/address.js',
  ].map(use),
);
const key = (text) => Uint8Array.from(Buffer.from(text, 'base64'));

const crypto = await selectCrypto({ prefer: options.crypto });
let stamps = 0;
const machine = new TunnelMachine(
  {
    privateKey: key(options.privateKey),
    peers: [{ publicKey: key(options.clientPublicKey), allowedIps: [prefix(ip('10.66.0.1'), 32)] }],
    addresses: [ip('10.66.0.2')],
    dnsServers: [],
    mtu: 1420,
    crypto,
    random: systemRandom,
    timestamp: () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, ++stamps),
  },
  systemClock.now(),
);
const engine = {
  onEvent: () => {},
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
const port = await selectUdpPorts({ prefer: options.udp })(
  { bind: { address: ip('127.0.0.1'), port: 0 }, allocate: crypto.allocate, release: crypto.release },
  {
    onBurst: (burst) => driver.handleBurst(burst),
    onDrain: () => driver.handleDrain(),
    onError: (error) => console.error(`UDP port: ${error.message}`),
  },
);
driver.attach(port);

const { net } = new SocketLayer(engine);
const chunk = Buffer.alloc(64 << 10);
net.createServer(pour).listen(80);
net.createServer(count).listen(81);
let received = 0;
createServer((socket) => socket.on('error', () => {}).end(`${received}`)).listen(options.counter);

process.on('disconnect', () => process.exit(0));
process.send({ port: port.local.port });

function pour(socket) {
  socket.on('error', () => {});
  const fill = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', fill);
  fill();
}

function count(socket) {
  socket.on('error', () => {});
  socket.on('data', (data) => (received += data.length));
}
