/** How connections begin: `connect`, listeners, and segments for which there is no connection (RFC 9293 §3.10.1, §3.10.7.1 and 2). */

import { ipFromBytes } from '../../base/address.ts';
import type { Instant } from '../../base/instant.ts';
import { ACK, FIN, RST, SYN, type TcpSegment } from '../../wire/tcp.ts';
import type { TcpDrop } from '../drops.ts';
import type { SocketErrorCode, TcpConnect, TcpListen } from '../messages.ts';
import { takeSyn } from './arrive.ts';
import { Connection } from './connection.ts';
import { Listener } from './listener.ts';
import type { Stack } from './stack.ts';
import { setTuple, TUPLE_WORDS } from './tuple.ts';

const ANY_ADDRESS = ipFromBytes(new Uint8Array(4));

/** Active open. `closed` with an error comes at once if it cannot even begin. */
export function connect(stack: Stack, command: TcpConnect, now: Instant): void {
  const error = tryConnect(stack, command, now);
  if (error) stack.host.emit({ kind: 'closed', socket: command.socket, error });
}

export function listen(stack: Stack, command: TcpListen): void {
  const { socket, port, address, backlog } = command;
  const hold = stack.host.ports.allocate('tcp', port, address ? { address } : {});
  if (!hold) {
    stack.host.emit({ kind: 'closed', socket, error: 'EADDRINUSE' });
    return;
  }
  stack.listeners.add(new Listener(socket, hold.port, address, backlog, hold, stack.settings.synQueueLimit));
  stack.host.emit({ kind: 'bound', socket, local: { address: address ?? ANY_ADDRESS, port: hold.port } });
}

/** Half-open connections end with their listener, established ones live on. */
export function closeListener(stack: Stack, socket: number): void {
  const listener = stack.listeners.get(socket);
  if (!listener) return;
  for (const connection of [...listener.halfOpen]) connection.abort();
  stack.listeners.remove(listener);
  stack.host.ports.release(listener.hold);
  stack.host.emit({ kind: 'closed', socket });
}

/** A segment for a tuple that no connection has; the addresses lie in `bytes`. Returns why it was of no use, if so. */
export function arrivesUnknown(
  stack: Stack,
  segment: TcpSegment,
  tuple: Int32Array,
  local: Uint8Array,
  remote: Uint8Array,
  now: Instant,
): TcpDrop | undefined {
  const { flags } = segment;
  if (stack.timeWait.has(tuple) && !reopens(stack, segment, tuple, local, remote, now)) return undefined;
  const opens = (flags & (SYN | ACK | RST | FIN)) === SYN && segment.sourcePort !== 0;
  const listener = opens ? stack.listeners.find(ipFromBytes(local), segment.destinationPort) : undefined;
  if (listener) return arrivesAtListener(stack, listener, segment, tuple, local, remote, now);
  if ((flags & RST) === 0) stack.refuse(segment, local, remote);
  return 'tcp-no-connection';
}

function tryConnect(stack: Stack, command: TcpConnect, now: Instant): SocketErrorCode | undefined {
  const { socket, to } = command;
  const { host, connections, settings } = stack;
  const local = command.localAddress ?? host.localAddressFor(to.address);
  if (!local || local.family !== to.address.family) return 'ENETUNREACH';
  if (to.port === 0) return 'ECONNREFUSED';
  if (connections.size >= settings.maxConnections) return 'EMFILE';
  const remote = { address: to.address, port: to.port };
  const hold = host.ports.allocate('tcp', command.localPort ?? 0, { address: local, remote });
  if (!hold) return 'EADDRINUSE';
  const tuple = new Int32Array(TUPLE_WORDS);
  setTuple(tuple, local.family, hold.port, to.port, local.bytes, 0, to.address.bytes, 0);
  if (connections.find(tuple)) {
    host.ports.release(hold);
    return 'EADDRINUSE';
  }
  // Our sequence numbers and timestamps only grow, so duplicates of an old incarnation are no danger (RFC 6191 §2).
  stack.timeWait.remove(tuple);
  const identity = {
    socket,
    tuple,
    local: local.bytes,
    remote: to.address.bytes,
    localPort: hold.port,
    remotePort: to.port,
    initialSequence: stack.sequences.initialSequence(tuple, now),
    clockOffset: stack.sequences.clockOffset(tuple),
    hold,
  };
  const connection = new Connection(stack, identity, 'syn-sent', now);
  connections.add(connection);
  stack.wantsOutput(connection);
  return undefined;
}

function arrivesAtListener(
  stack: Stack,
  listener: Listener,
  segment: TcpSegment,
  tuple: Int32Array,
  local: Uint8Array,
  remote: Uint8Array,
  now: Instant,
): TcpDrop | undefined {
  if (stack.connections.size >= stack.settings.maxConnections) return 'tcp-listen-queue-full';
  const identity = {
    socket: stack.connections.nextAcceptedSocket(),
    tuple: tuple.slice(),
    local,
    remote,
    localPort: segment.destinationPort,
    remotePort: segment.sourcePort,
    initialSequence: stack.sequences.initialSequence(tuple, now),
    clockOffset: stack.sequences.clockOffset(tuple),
    listener,
  };
  const connection = new Connection(stack, identity, 'syn-received', now);
  takeSyn(connection, segment, now);
  stack.connections.add(connection);
  stack.touch(connection);
  const evicted = listener.add(connection);
  evicted?.fail(undefined);
  return evicted ? 'tcp-listen-queue-full' : undefined;
}

/** A segment for a connection in TIME-WAIT: true if it is a SYN that opens a new one (RFC 6191). */
function reopens(
  stack: Stack,
  segment: TcpSegment,
  tuple: Int32Array,
  local: Uint8Array,
  remote: Uint8Array,
  now: Instant,
): boolean {
  const row = stack.timeWait.row(tuple);
  const verdict = stack.timeWait.handle(tuple, segment, now);
  if (verdict !== 'acknowledge') return verdict === 'reopen';
  const reply = {
    local,
    remote,
    localPort: segment.destinationPort,
    remotePort: segment.sourcePort,
    sequence: row.sendNext,
    acknowledgement: row.receiveNext,
    flags: ACK,
    window: row.window,
  };
  if (!row.timestamps) stack.reply(reply);
  else {
    const value = (Math.floor(now) + row.timestamps.clockOffset) | 0;
    stack.reply({ ...reply, timestamps: { value, echo: row.timestamps.recent } });
  }
  return false;
}
