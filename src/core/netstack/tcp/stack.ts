/**
 * What all connections of one `Tcp` share: tables, memory, timers, the queue of those that want to send; and the end of each burst
 * or call, where what was touched is settled.
 */

import { elapsedMs, type Instant, instant } from '../../base/instant.ts';
import { randomU32 } from '../../base/random.ts';
import { ACK, RST, type TcpSegment } from '../../wire/tcp.ts';
import type { TcpDrop } from '../drops.ts';
import type { Connection } from './connection.ts';
import { Connections } from './connections.ts';
import { shareCredit } from './credit-sharing.ts';
import { deadlineOf } from './deadlines.ts';
import { Slab } from './delivery.ts';
import type { TcpHost } from './host.ts';
import { SequenceSource } from './identity.ts';
import { Listeners } from './listener.ts';
import { MemoryBudget } from './memory.ts';
import { OutputQueue } from './output-queue.ts';
import { lastAckOf, Replies, type Reply } from './replies.ts';
import { seqAdd } from './sequence.ts';
import type { TcpSettings } from './settings.ts';
import { TimeWaitTable } from './time-wait.ts';
import { TimerHeap } from './timers.ts';
import { shareWindows } from './window-sharing.ts';

/** A look at all connections: no oftener, however many of them ask. */
const SHARING_INTERVAL_MS = 1000;

export class Stack {
  readonly host: TcpHost;
  readonly settings: TcpSettings;
  readonly memory: MemoryBudget;
  readonly slab: Slab = new Slab();
  readonly connections: Connections;
  readonly listeners: Listeners = new Listeners();
  readonly timeWait: TimeWaitTable;
  readonly timers: TimerHeap<Connection> = new TimerHeap();
  readonly output: OutputQueue = new OutputQueue();
  readonly replies: Replies = new Replies();
  readonly sequences: SequenceSource;
  #windowsSharedAt: Instant = instant(Number.NEGATIVE_INFINITY);
  #creditSharedAt: Instant = this.#windowsSharedAt;
  /** The first `#touchedCount` count: cutting an array short costs more than settling a connection. */
  readonly #touched: (Connection | undefined)[] = [];
  #touchedCount = 0;

  constructor(host: TcpHost, settings: TcpSettings) {
    this.host = host;
    this.settings = settings;
    this.memory = new MemoryBudget(settings.receiveBudget, settings.sendBudget);
    this.sequences = new SequenceSource(host.random);
    this.connections = new Connections(randomU32(host.random));
    this.timeWait = new TimeWaitTable(settings.timeWaitLimit, settings.timeWaitMs, randomU32(host.random), (hold) =>
      host.ports.release(hold),
    );
  }

  count(reason: TcpDrop): void {
    this.host.count(reason);
  }

  /** The connection may have something to send. */
  wantsOutput(connection: Connection): void {
    this.output.add(connection);
  }

  /** The connection has events to tell, or timers to arm, when this burst or call ends. */
  touch(connection: Connection): void {
    if (connection.touched) return;
    connection.touched = true;
    this.#touched[this.#touchedCount++] = connection;
  }

  /** A window could not grow: those of idle connections shrink, and those above a fair share. */
  shareWindows(now: Instant): void {
    if (elapsedMs(this.#windowsSharedAt, now) < SHARING_INTERVAL_MS) return;
    this.#windowsSharedAt = now;
    shareWindows(this.memory, this.connections.values(), now);
  }

  /** A send buffer could not grow: those above a fair share are to shrink. */
  shareCredit(now: Instant): void {
    if (elapsedMs(this.#creditSharedAt, now) < SHARING_INTERVAL_MS) return;
    this.#creditSharedAt = now;
    shareCredit(this.memory, this.connections.values());
  }

  /** Tells the embedder that the connection is established. */
  announce(connection: Connection): void {
    const { socket, localAddress: local, remoteAddress: remote, sender, identity } = connection;
    const writeCredit = sender.creditLimit;
    connection.announced = true;
    if (identity.listener)
      this.host.emit({ kind: 'tcp-accepted', listener: identity.listener.socket, socket, local, remote, writeCredit });
    else this.host.emit({ kind: 'tcp-connected', socket, local, remote, writeCredit });
  }

  /** Sends a segment that belongs to no connection. */
  reply(reply: Reply): void {
    if (!this.replies.push(reply)) this.count('tcp-rate-limited');
  }

  /** RST for a segment that has no business here (RFC 9293 §3.10.7.1). */
  refuse(segment: TcpSegment, local: Uint8Array, remote: Uint8Array): void {
    const acknowledged = (segment.flags & ACK) !== 0;
    this.reply({
      local,
      remote,
      localPort: segment.destinationPort,
      remotePort: segment.sourcePort,
      sequence: acknowledged ? segment.acknowledgement : 0,
      acknowledgement: acknowledged ? 0 : seqAdd(segment.sequence, segment.length),
      flags: acknowledged ? RST : RST | ACK,
      window: 0,
    });
  }

  /** Emits what happened to the connections touched, arms their timers, and parts with those that have ended. */
  settle(now: Instant): void {
    const touched = this.#touched;
    // What is touched meanwhile waits for the next time.
    const count = this.#touchedCount;
    for (let i = 0; i < count; i++) {
      const connection = touched[i]!;
      connection.touched = false;
      if (connection.index >= 0) this.#settleOne(connection, now);
    }
    const left = this.#touchedCount - count;
    for (let i = 0; i < left; i++) touched[i] = touched[count + i];
    for (let i = left; i < this.#touchedCount; i++) touched[i] = undefined;
    this.#touchedCount = left;
  }

  #settleOne(connection: Connection, now: Instant): void {
    connection.flush(now);
    if (connection.state === 'closed' || connection.state === 'time-wait') this.#retire(connection, now);
    else {
      this.output.add(connection);
      this.timers.arm(connection, deadlineOf(connection));
    }
  }

  #retire(connection: Connection, now: Instant): void {
    const { socket, identity, error } = connection;
    this.connections.remove(connection);
    this.timers.remove(connection);
    identity.listener?.remove(connection);
    if (connection.state === 'time-wait') this.#enterTimeWait(connection, now);
    else if (identity.hold) this.host.ports.release(identity.hold);
    connection.sender.release();
    connection.receiver.release();
    // A half-open connection of a listener ends as it began: unknown to the embedder.
    if (identity.listener && !connection.announced) return;
    this.host.emit(error ? { kind: 'closed', socket, error } : { kind: 'closed', socket });
  }

  #enterTimeWait(connection: Connection, now: Instant): void {
    const { identity, sender, receiver, timestampRecent } = connection;
    const timestamps = connection.timestamps
      ? { recent: timestampRecent, clockOffset: identity.clockOffset }
      : undefined;
    const window = receiver.announce(true, receiver.next);
    const row = { sendNext: sender.next, receiveNext: receiver.next, window, timestamps };
    this.timeWait.add(identity.tuple, row, identity.hold, now);
    this.reply(lastAckOf(connection, window, now));
  }
}
