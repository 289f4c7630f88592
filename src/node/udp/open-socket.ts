/**
 * The only module that opens a socket facing the internet. With a `remote` the socket is connected: the kernel then neither sends to nor
 * accepts from anyone else.
 */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { getSystemErrorName } from 'node:util';
import { type Endpoint, formatEndpoint, formatIp } from '../../core/base/address.ts';
import { SluiceError } from '../../core/base/errors.ts';
import { type SystemError, systemError } from '../node-errors.ts';
import type { Libc } from './ffi.ts';
import {
  AF_INET,
  AF_INET6,
  decodeSocketAddress,
  encodeSocketAddress,
  MAX_SOCKET_ADDRESS_LENGTH,
} from './socket-address.ts';

export type { RemoteInfo, Socket };

export interface SocketTarget {
  readonly remote?: Endpoint;
  readonly bind?: Endpoint;
}

export interface OpenedDescriptor {
  readonly descriptor: number;
  readonly local: Endpoint;
}

/** wireguard-go asks for as much: at 1 Gbit/s the usual 208 KiB hold 2 ms of traffic. */
const BUFFER_BYTES = 7 << 20;

/** A socket of node:dgram. Throws `ERR_UDP_PORT` with the system’s reason as `cause`. */
export async function openDgramSocket(target: SocketTarget): Promise<Socket> {
  const family = familyOf(target);
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6', ipv6Only: family === 6, lookup: echoAddress });
  try {
    if (target.bind) await bind(socket, target.bind);
    if (target.remote) await connect(socket, target.remote);
  } catch (cause) {
    socket.close();
    throw refused(target, cause as Error);
  }
  return socket;
}

/** A descriptor with a socket of node:dgram that owns it, and watches it for the event loop. Throws as `openDgramSocket`. */
export async function openWatchedSocket(
  libc: Libc,
  target: SocketTarget,
): Promise<{ readonly opened: OpenedDescriptor; readonly socket: Socket }> {
  const opened = openDescriptor(libc, target);
  const { descriptor } = opened;
  const socket = createSocket(familyOf(target) === 4 ? 'udp4' : 'udp6');
  try {
    await settle(socket, (done) => socket.bind({ fd: descriptor, exclusive: true }, done));
  } catch (cause) {
    socket.close();
    libc.close(descriptor);
    throw refused(target, cause as Error);
  }
  // libuv sets it on every descriptor that it is given; it would let another process take over our port.
  setOption(libc, descriptor, SOL_SOCKET, SO_REUSEADDR, 0);
  return { opened, socket };
}

/** A non-blocking socket outside of Node, to be closed by the caller. Throws as `openDgramSocket`. */
export function openDescriptor(libc: Libc, target: SocketTarget): OpenedDescriptor {
  const family = familyOf(target);
  const descriptor = libc.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw refused(target, failure(libc, 'socket'));
  try {
    if (family === 6) setOption(libc, descriptor, SOL_IPV6, IPV6_V6ONLY, 1);
    // Never in fragments, whatever a router may have said: the tunnel finds out by itself what arrives (RFC 8899 §4.6).
    if (family === 4) setOption(libc, descriptor, SOL_IP, IP_MTU_DISCOVER, PMTUDISC_PROBE);
    else setOption(libc, descriptor, SOL_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE);
    if (target.bind) assign(libc, 'bind', descriptor, target.bind);
    if (target.remote) assign(libc, 'connect', descriptor, target.remote);
    return { descriptor, local: localAddress(libc, descriptor) };
  } catch (cause) {
    libc.close(descriptor);
    throw refused(target, cause as Error);
  }
}

/** The error of the latest call, as Node would tell it. */
export function failure(libc: Libc, call: string, at?: Endpoint): SystemError {
  const code = getSystemErrorName(-libc.errno());
  return systemError(code, call, at ? { address: formatIp(at.address), port: at.port } : {});
}

/** Asks for a large receive buffer and returns what was granted. Some systems refuse too large a number instead of capping it. */
export function askForBuffers(socket: Socket): number {
  for (let bytes = BUFFER_BYTES; bytes > 1 << 17; bytes >>= 1) {
    try {
      socket.setRecvBufferSize(bytes);
      socket.setSendBufferSize(bytes);
      break;
    } catch {
      // Half as much, then.
    }
  }
  return socket.getRecvBufferSize();
}

/** The same for a descriptor; past the system’s limit if this process may. */
export function askForBuffersOf(libc: Libc, descriptor: number): number {
  for (const [force, ask] of [
    [SO_RCVBUFFORCE, SO_RCVBUF],
    [SO_SNDBUFFORCE, SO_SNDBUF],
  ] as const)
    if (!setOption(libc, descriptor, SOL_SOCKET, force, BUFFER_BYTES))
      setOption(libc, descriptor, SOL_SOCKET, ask, BUFFER_BYTES);
  return getOption(libc, descriptor, SOL_SOCKET, SO_RCVBUF) ?? 0;
}

/** The largest IP packet that the system knows the path of a connected socket to carry, in bytes. */
export function pathMtuOf(libc: Libc, descriptor: number, family: 4 | 6): number | undefined {
  return family === 4 ? getOption(libc, descriptor, SOL_IP, IP_MTU) : getOption(libc, descriptor, SOL_IPV6, IPV6_MTU);
}

/** `undefined` if the system refuses. */
function getOption(libc: Libc, descriptor: number, level: number, name: number): number | undefined {
  const value = new Uint8Array(4);
  if (libc.getsockopt(descriptor, level, name, value, Uint8Array.of(4, 0, 0, 0)) !== 0) return undefined;
  return new DataView(value.buffer).getInt32(0, true);
}

/** False if the system refuses. */
export function setOption(libc: Libc, descriptor: number, level: number, name: number, value: number): boolean {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return libc.setsockopt(descriptor, level, name, bytes, 4) === 0;
}

const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_IP = 0;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const SOL_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const IPV6_MTU = 24;
const PMTUDISC_PROBE = 3;
const IPV6_V6ONLY = 26;

function familyOf({ remote, bind: local }: SocketTarget): 4 | 6 {
  return (remote ?? local)?.address.family ?? 4;
}

function refused({ remote, bind: local }: SocketTarget, cause: Error): SluiceError {
  const what = remote ? `towards ${formatEndpoint(remote)}` : `at ${local ? formatEndpoint(local) : 'any address'}`;
  return new SluiceError('ERR_UDP_PORT', `No UDP port could be opened ${what}: ${cause.message}.`, { cause });
}

function assign(libc: Libc, call: 'bind' | 'connect', descriptor: number, endpoint: Endpoint): void {
  const address = encodeSocketAddress(endpoint);
  if (libc[call](descriptor, address, address.length) < 0) throw failure(libc, call, endpoint);
}

function localAddress(libc: Libc, descriptor: number): Endpoint {
  const address = new Uint8Array(MAX_SOCKET_ADDRESS_LENGTH);
  if (libc.getsockname(descriptor, address, Uint8Array.of(address.length, 0, 0, 0)) < 0)
    throw failure(libc, 'getsockname');
  return decodeSocketAddress(address, 0)!;
}

/** Addresses are literals already. Without it, node:dgram asks dns.lookup for every datagram and sends it a turn later. */
function echoAddress(
  address: string,
  family: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, address, typeof family === 'number' ? family : address.includes(':') ? 6 : 4);
}

function bind(socket: Socket, { address, port }: Endpoint): Promise<void> {
  return settle(socket, (done) => socket.bind({ address: formatIp(address), port, exclusive: true }, done));
}

/** Node hands a refusal, such as a network without a route, to the callback alone, though its type does not say so. */
function connect(socket: Socket, { address, port }: Endpoint): Promise<void> {
  return settle(socket, (done) => socket.connect(port, formatIp(address), done));
}

function settle(socket: Socket, start: (done: (error?: Error) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    start((error) => {
      socket.off('error', reject);
      if (error) reject(error);
      else resolve();
    });
  });
}
