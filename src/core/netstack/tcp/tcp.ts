/**
 * TCP (RFC 9293) for all connections of one stack: segments to connections, commands to connections, connections' segments to
 * packets, and one timer. Everything is driven from outside: after each `handleCommand`, `handleTimeout` or burst of
 * `handleSegment` … `endBurst`, drain `nextPacket` and arm `nextTimeout`. Events go to `TcpHost.emit` as they happen.
 *
 * Not supported: urgent data (delivered in line, RFC 6093), ECN (the datagram socket shows no TOS byte), TCP Fast Open.
 */

import type { IpAddress } from '../../base/address.ts';
import { type Instant, instant } from '../../base/instant.ts';
import { pseudoHeaderSum, sum } from '../../wire/checksum.ts';
import { PROTOCOL_TCP } from '../../wire/ip.ts';
import {
  type PlainTuple,
  parsePlain,
  plainSegment,
  plainSumIsRight,
  readTuple,
  swap32,
} from '../../wire/plain-packet.ts';
import { parseTcp, TCP_HEADER_LENGTH, TcpSegment } from '../../wire/tcp.ts';
import { type WordView, wordView } from '../../wire/word-view.ts';
import type { TcpDrop } from '../drops.ts';
import type { SocketCommand, SocketErrorCode } from '../messages.ts';
import { segmentArrives } from './arrive.ts';
import type { Connection } from './connection.ts';
import { deadlineOf, handleDeadlines } from './deadlines.ts';
import type { TcpHost } from './host.ts';
import { handleIcmpError, type TcpIcmpError } from './icmp-error.ts';
import { arrivesUnknown, closeListener, connect, listen } from './open.ts';
import { writeReply } from './output.ts';
import { Prefetch } from './prefetch.ts';
import { type TcpSettings, tcpSettings } from './settings.ts';
import { Stack } from './stack.ts';
import { NEVER } from './timers.ts';
import { hasNoMore, nextSegment } from './transmit.ts';
import { setTuple, TUPLE_WORDS } from './tuple.ts';

/** Connections in any state but TIME-WAIT, which has a count of its own. */
export interface TcpCounts {
  readonly connections: number;
  readonly listening: number;
  readonly timeWait: number;
}

/** What all connections hold together, in bytes, against `receiveBudget` and `sendBudget`. */
export interface TcpMemoryUse {
  /** Promised to peers as windows. */
  readonly windowBytes: number;
  /** Held behind holes, in whole pages. */
  readonly outOfOrderBytes: number;
  /** Granted to embedders to write. */
  readonly sendBufferBytes: number;
}

export class Tcp {
  readonly #host: TcpHost;
  readonly #stack: Stack;
  #mtuChanged = false;
  /** Rewritten by every segment. */
  readonly #segment: TcpSegment = new TcpSegment();
  readonly #tuple: Int32Array = new Int32Array(TUPLE_WORDS);
  readonly #plain: PlainTuple = { source: 0, destination: 0, ports: 0 };
  readonly #plainSegment: TcpSegment = plainSegment();
  /** Of the bytes that the packet before lay in. */
  #view: WordView = wordView(new Uint8Array(0));
  /** Whose plain packet came last, and by what it was found: packets of one connection come in a row. */
  #latest: Connection | undefined;
  readonly #latestTuple: PlainTuple = { source: 0, destination: 0, ports: 0 };
  readonly #prefetch: Prefetch = new Prefetch();
  /** Of the packet that was expected last. */
  readonly #expected: PlainTuple = { source: 0, destination: 0, ports: 0 };

  /** Throws RangeError for settings no connection could live with. */
  constructor(host: TcpHost, options: Partial<TcpSettings>, _now: Instant) {
    this.#host = host;
    this.#stack = new Stack(host, tcpSettings(options));
  }

  /**
   * Everything about TCP sockets, and `close` of listeners. Commands for sockets that are gone are ignored. Throws RangeError for a
   * write beyond the credit.
   */
  handleCommand(command: SocketCommand, now: Instant): void {
    const stack = this.#stack;
    if (command.kind === 'tcp-credit') stack.connections.get(command.socket)?.credit(command.bytes, now);
    else if (command.kind === 'tcp-write') this.#handleConnectionCommand(command, now);
    else if (command.kind === 'tcp-connect') connect(stack, command, now);
    else if (command.kind === 'tcp-listen') listen(stack, command);
    else if (command.kind === 'close') closeListener(stack, command.socket);
    else if ('socket' in command) this.#handleConnectionCommand(command, now);
    stack.settle(now);
  }

  /**
   * A packet of this burst that will come by `handlePlain`, its IP header at `offset`, told before the first of them does. It is a
   * hint: whatever the bytes hold, nothing follows from it.
   */
  expect(bytes: Uint8Array, offset: number): void {
    if (this.#view.bytes !== bytes) this.#view = wordView(bytes);
    if (!readTuple(this.#view, offset, this.#expected)) return;
    const connection = this.#findTuple(this.#expected);
    if (connection !== undefined) this.#prefetch.add(connection);
  }

  /**
   * The short way of a packet as nearly all are, for a connection that is there. False, and nothing has been done: the packet is to be
   * judged in full. What it leads to is told at `endBurst`.
   */
  handlePlain(bytes: Uint8Array, offset: number, length: number, now: Instant): boolean {
    const segment = this.#plainSegment;
    if (this.#prefetch.waiting) this.#prefetch.run();
    if (this.#view.bytes !== bytes) this.#view = wordView(bytes);
    const view = this.#view;
    if (!parsePlain(view, offset, length, segment, this.#plain)) return false;
    // Its addresses need no check: they are those of a connection.
    const connection = this.#findPlain();
    if (connection === undefined || !plainSumIsRight(view, offset, length)) return false;
    if (!connection.touched) this.#stack.touch(connection);
    const drop = segmentArrives(connection, segment, bytes, now);
    if (drop !== undefined) this.#host.count(drop);
    return true;
  }

  /**
   * One segment, `length` bytes at `offset`, whose IP header is valid; the addresses lie in `bytes` too. The bytes are not needed
   * after the call. What it leads to is told at `endBurst`.
   */
  handleSegment(
    bytes: Uint8Array,
    offset: number,
    length: number,
    family: 4 | 6,
    sourceOffset: number,
    destinationOffset: number,
    now: Instant,
  ): void {
    const drop = this.#take(bytes, offset, length, family, sourceOffset, destinationOffset, now);
    if (drop) this.#host.count(drop);
  }

  /** Behind the last segment of a burst: data and events are emitted, acknowledgements decided, timers armed. */
  endBurst(now: Instant): void {
    this.#stack.settle(now);
    this.#stack.listeners.endBurst();
  }

  /** An ICMP error quotes a segment that we may have sent. False if it cannot be genuine (RFC 5927 §4.1). */
  handleIcmpError(
    local: IpAddress,
    remote: IpAddress,
    ports: { readonly local: number; readonly remote: number },
    sequence: number,
    kind: TcpIcmpError,
    mtu: number,
    now: Instant,
  ): boolean {
    setTuple(this.#tuple, local.family, ports.local, ports.remote, local.bytes, 0, remote.bytes, 0);
    const connection = this.#stack.connections.find(this.#tuple);
    if (!connection) return false;
    const drop = handleIcmpError(connection, sequence | 0, kind, mtu, now);
    if (drop) this.#host.count(drop);
    this.#stack.touch(connection);
    this.#stack.settle(now);
    return !drop;
  }

  /** The reader of `bytes`, which a `tcp-data` carried, keeps no view of them: their memory may be used for others. */
  reclaim(bytes: Uint8Array): void {
    this.#stack.slab.reclaim(bytes);
  }

  /** `TcpHost.mtu` is another. Open connections follow with their next segment. */
  handleMtu(): void {
    this.#mtuChanged = true;
  }

  handleTimeout(now: Instant): void {
    const stack = this.#stack;
    stack.timeWait.expire(now);
    for (let c = stack.timers.pop(now); c; c = stack.timers.pop(now)) {
      handleDeadlines(c, now);
      stack.touch(c);
    }
    stack.settle(now);
  }

  nextTimeout(): Instant | undefined {
    const { timers, timeWait } = this.#stack;
    const next = timeWait.size === 0 ? timers.next : instant(Math.min(timers.next, timeWait.next));
    return next === NEVER ? undefined : next;
  }

  /** Writes the next segment as a whole IP packet at `offset`, where the MTU has room, and returns its length; 0 if there is none. */
  nextPacket(bytes: Uint8Array, offset: number, now: Instant): number {
    const { output, replies, timers } = this.#stack;
    if (this.#mtuChanged) this.#followMtu(now);
    if (!replies.empty) return writeReply(replies.shift()!, bytes, offset);
    for (let c = output.current; c !== undefined; c = output.current) {
      const length = nextSegment(c, bytes, offset, now);
      if (length > 0 && hasNoMore(c)) {
        output.drop();
        return length;
      }
      if (length > 0) output.used();
      else output.drop();
      if (c.index >= 0) timers.arm(c, deadlineOf(c));
      if (length > 0) return length;
    }
    return 0;
  }

  /** Every connection ends with `error`, without a packet: to the other side they are dead. Listeners stay. */
  reset(error: SocketErrorCode, now: Instant): void {
    const stack = this.#stack;
    stack.settle(now);
    for (const connection of stack.connections.values()) connection.fail(error);
    stack.settle(now);
    stack.timeWait.clear();
    stack.replies.clear();
  }

  counts(): TcpCounts {
    const { connections, listeners, timeWait } = this.#stack;
    return { connections: connections.size, listening: listeners.size, timeWait: timeWait.size };
  }

  memoryUse(): TcpMemoryUse {
    const { windows, outOfOrder, sendBuffers } = this.#stack.memory;
    return { windowBytes: windows, outOfOrderBytes: outOfOrder, sendBufferBytes: sendBuffers };
  }

  #handleConnectionCommand(command: SocketCommand & { readonly socket: number }, now: Instant): void {
    const connection = this.#stack.connections.get(command.socket);
    if (!connection) return;
    if (command.kind === 'tcp-write') connection.write(command.bytes);
    else if (command.kind === 'tcp-shutdown') connection.shutdown();
    else if (command.kind === 'tcp-abort') connection.abort();
    else if (command.kind === 'tcp-options') {
      if (command.noDelay !== undefined) connection.sender.noDelay = command.noDelay;
      if (command.keepAliveMs !== undefined) connection.setKeepAlive(command.keepAliveMs, now);
    }
  }

  #findPlain(): Connection | undefined {
    const { source, destination, ports } = this.#plain;
    const latest = this.#latestTuple;
    if (ports === latest.ports && source === latest.source && destination === latest.destination) {
      if (this.#latest !== undefined && this.#latest.index >= 0) return this.#latest;
    }
    this.#latest = this.#findTuple(this.#plain);
    latest.source = source;
    latest.destination = destination;
    latest.ports = ports;
    return this.#latest;
  }

  #findTuple({ ports, source, destination }: PlainTuple): Connection | undefined {
    const words = swap32(ports);
    // Our port first, which is the packet's destination.
    return this.#stack.connections.findV4((words << 16) | (words >>> 16), swap32(destination), swap32(source));
  }

  #take(
    bytes: Uint8Array,
    offset: number,
    length: number,
    family: 4 | 6,
    sourceOffset: number,
    destinationOffset: number,
    now: Instant,
  ): TcpDrop | undefined {
    const segment = this.#segment;
    if (!parseTcp(bytes, offset, length, segment))
      return length < TCP_HEADER_LENGTH ? 'tcp-truncated' : 'tcp-malformed';
    const size = family === 4 ? 4 : 16;
    if (segmentSum(bytes, offset, length, size, sourceOffset, destinationOffset) !== 0xffff) return 'tcp-checksum';
    const tuple = this.#tuple;
    setTuple(tuple, family, segment.destinationPort, segment.sourcePort, bytes, destinationOffset, bytes, sourceOffset);
    const connection = this.#stack.connections.find(tuple);
    if (connection) {
      this.#stack.touch(connection);
      return segmentArrives(connection, segment, bytes, now);
    }
    const local = bytes.slice(destinationOffset, destinationOffset + size);
    const remote = bytes.slice(sourceOffset, sourceOffset + size);
    return arrivesUnknown(this.#stack, segment, tuple, local, remote, now);
  }

  #followMtu(now: Instant): void {
    this.#mtuChanged = false;
    for (const connection of this.#stack.connections.values()) connection.followTunnel();
    this.#stack.settle(now);
  }
}

/** Sum over pseudo header and segment, 0xffff if it is right. Behind a header without options the addresses are summed with the segment. */
function segmentSum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  size: number,
  sourceOffset: number,
  destinationOffset: number,
): number {
  if (destinationOffset + size === offset && sourceOffset + size === destinationOffset)
    return sum(bytes, sourceOffset, 2 * size + length, PROTOCOL_TCP + length);
  return sum(
    bytes,
    offset,
    length,
    pseudoHeaderSum(bytes, sourceOffset, bytes, destinationOffset, size, PROTOCOL_TCP, length),
  );
}
