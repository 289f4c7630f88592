/** The clients that are compared, each started as its own documents say, and where a reader then finds the server. */
import { execFileSync } from 'node:child_process';
import { ENDPOINT, MTU, onPath, SERVER } from './lab.mjs';
import { start } from './processes.mjs';

/** Ports of the client's loopback behind which a proxy offers the server's two. */
const LOCAL = { host: '127.0.0.1', port: 7201 };

/**
 * `reader` is where a program at the client finds the server. `start` runs the peer with the keys and the address of one client of
 * the lab, and gives the process that does the work and is to be charged for it, and how to end it.
 */
export const PEERS = [
  {
    name: 'wireproxy',
    command: 'wireproxy',
    reader: LOCAL,
    version: () => firstLine('wireproxy', '-v'),
    start(lab, client) {
      const tunnel = (offset) =>
        `[TCPClientTunnel]\nBindAddress = ${LOCAL.host}:${LOCAL.port + offset}\nTarget = ${SERVER.host}:${SERVER.port + offset}\n`;
      const file = lab.file('wireproxy.conf', `${lab.conf(client)}${tunnel(0)}${tunnel(1)}`);
      return proxy(lab, ['wireproxy', '-s', '-c', file]);
    },
  },
  {
    name: 'onetun',
    command: 'onetun',
    reader: LOCAL,
    version: () => firstLine('onetun', '--version'),
    start(lab, client) {
      const forward = (offset) => `${LOCAL.host}:${LOCAL.port + offset}:${SERVER.host}:${SERVER.port + offset}:TCP`;
      return proxy(lab, [
        'onetun',
        ...['--endpoint-addr', ENDPOINT, '--endpoint-public-key', lab.serverPublicKey],
        ...['--private-key', client.key, '--source-peer-ip', client.address],
        ...['--max-transmission-unit', `${MTU}`, '--log', 'error'],
        forward(0),
        forward(1),
      ]);
    },
  },
  {
    name: 'wireguard-go, TUN',
    command: 'wireguard-go',
    reader: SERVER,
    version: () => firstLine('wireguard-go', '--version'),
    start: (lab, client) => tun(lab, client, ['wireguard-go', '-f']),
  },
  {
    name: 'boringtun, TUN',
    command: 'boringtun-cli',
    reader: SERVER,
    version: () => firstLine('boringtun-cli', '--version'),
    start: (lab, client) => tun(lab, client, ['boringtun-cli', '-f', '--disable-drop-privileges']),
  },
];

/** Those on PATH, with their versions, and those that are not. */
export function findPeers() {
  const found = PEERS.filter(({ command }) => onPath(command)).map((peer) => ({ ...peer, version: peer.version() }));
  const absent = PEERS.filter(({ command }) => !onPath(command));
  return { found, notShown: absent.map(({ name, command }) => ({ name, why: `${command} is not on PATH` })) };
}

function proxy(lab, command) {
  const daemon = start([...lab.atClient, ...command], { stdio: 'ignore' });
  return { pid: daemon.child.pid, end: daemon.end };
}

async function tun(lab, client, command) {
  const daemon = await lab.tun(command, client);
  return { pid: daemon.child.pid, end: daemon.end };
}

function firstLine(command, ...args) {
  const text = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return text.trim().split('\n')[0];
}
