/** Applications for `Simulation`: streams of pattern bytes, checked as they arrive. */
import type { SocketEvent } from '../../src/core/netstack/messages.ts';
import type { Host, Simulation } from './tcp-simulation.ts';

const PATTERN = Uint8Array.from({ length: 65_536 + 251 }, (_, i) => (i * 7 + (i >>> 8) * 13 + (i >>> 3)) & 255);

/** Byte `position` of every stream, so that misplaced bytes are seen at once. Its period is 65,521, a prime. */
export function patternBytes(position: number, length: number): Uint8Array {
  const start = position % 65_521;
  if (start + length <= 65_521) return PATTERN.slice(start, start + length);
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = PATTERN[(position + i) % 65_521]!;
  return bytes;
}

export function checkPattern(bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    const start = (position + done) % 65_521;
    const size = Math.min(bytes.length - done, 65_521 - start);
    const a = Buffer.from(bytes.buffer, bytes.byteOffset + done, size);
    const b = Buffer.from(PATTERN.buffer, start, size);
    if (!a.equals(b)) throw new Error(`stream differs within ${size} bytes from ${position + done}`);
    done += size;
  }
}

/** One socket: writes `total` pattern bytes as credit allows, then shuts down; takes and checks what comes. */
export class Stream {
  received = 0;
  written = 0;
  ended = false;
  closed = false;
  error: string | undefined;
  connected = false;
  /** False: what arrives is not credited until `resume`. */
  reading = true;
  credit = 0;
  owed = 0;
  readonly host: Host;
  readonly socket: number;
  readonly #total: number;
  readonly #writeSize: number;
  readonly #simulation: Simulation;

  constructor(simulation: Simulation, host: Host, socket: number, total: number, writeSize = 64 * 1024) {
    this.#simulation = simulation;
    this.host = host;
    this.socket = socket;
    this.#total = total;
    this.#writeSize = writeSize;
  }

  handle(event: SocketEvent): void {
    if (this.closed) throw new Error(`${event.kind} after closed`);
    switch (event.kind) {
      case 'tcp-connected':
      case 'tcp-accepted':
        this.connected = true;
        this.credit = event.writeCredit;
        this.pump();
        break;
      case 'tcp-data':
        if (this.ended) throw new Error('data after end');
        checkPattern(event.bytes, this.received);
        this.received += event.bytes.length;
        this.owed += event.bytes.length;
        if (this.reading) this.resume();
        break;
      case 'tcp-write-credit':
        this.credit += event.bytes;
        this.pump();
        break;
      case 'tcp-end':
        this.ended = true;
        break;
      case 'closed':
        this.closed = true;
        this.error = event.error;
        break;
    }
  }

  pump(): void {
    const { tcp } = this.host;
    const now = this.#simulation.time;
    while (this.written < this.#total && this.credit > 0) {
      const size = Math.min(this.credit, this.#total - this.written, this.#writeSize);
      tcp.handleCommand({ kind: 'tcp-write', socket: this.socket, bytes: patternBytes(this.written, size) }, now);
      this.credit -= size;
      this.written += size;
    }
    if (this.written === this.#total) tcp.handleCommand({ kind: 'tcp-shutdown', socket: this.socket }, now);
  }

  resume(): void {
    this.reading = true;
    if (this.owed === 0) return;
    const bytes = this.owed;
    this.owed = 0;
    this.host.tcp.handleCommand({ kind: 'tcp-credit', socket: this.socket, bytes }, this.#simulation.time);
  }
}

export interface Pair {
  readonly client: Stream;
  /** Set once the connection was accepted. */
  server: Stream | undefined;
}

/** Opens `flows` connections from a to b, each side writing its total, and returns both ends of each. */
export function openFlows(
  simulation: Simulation,
  flows: number,
  clientBytes: number,
  serverBytes: number,
  writeSize?: number,
  port = 80,
): Pair[] {
  const { a, b } = simulation;
  const [eventOfA, eventOfB] = [a.onEvent, b.onEvent];
  const clients: Map<number, Stream> = new Map();
  const servers: Map<number, Stream> = new Map();
  const pairs: Pair[] = [];
  const ports: Map<number, Pair> = new Map();
  const listener = b.nextSocket();
  a.onEvent = (event) => {
    if (!('socket' in event)) return;
    const client = clients.get(event.socket);
    if (!client) return eventOfA(event);
    if (event.kind === 'tcp-connected') ports.set(event.local.port, pairs.find((pair) => pair.client === client)!);
    client.handle(event);
  };
  b.onEvent = (event) => {
    if (!('socket' in event) || event.socket === listener) return;
    if (event.kind === 'tcp-accepted' && event.listener === listener)
      servers.set(event.socket, new Stream(simulation, b, event.socket, serverBytes, writeSize));
    const server = servers.get(event.socket);
    if (!server) return eventOfB(event);
    server.handle(event);
    if (event.kind === 'tcp-accepted') {
      const pair = ports.get(event.remote.port);
      if (pair) pair.server = server;
    }
  };
  simulation.act(b, (tcp, now) => tcp.handleCommand({ kind: 'tcp-listen', socket: listener, port, backlog: 511 }, now));
  for (let i = 0; i < flows; i++) {
    const socket = a.nextSocket();
    const client = new Stream(simulation, a, socket, clientBytes, writeSize);
    clients.set(socket, client);
    pairs.push({ client, server: undefined });
    simulation.act(a, (tcp, now) =>
      tcp.handleCommand({ kind: 'tcp-connect', socket, to: { address: b.address, port } }, now),
    );
  }
  return pairs;
}
