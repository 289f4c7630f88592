/** Moves bytes for some seconds in this process, through a tunnel of ours or the kernel's sockets, and says what that cost. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import nodeNet from 'node:net';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseWireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { TunnelSocket } from '../node/net-socket.ts';
import { Tunnel } from '../node/tunnel.ts';
import { cpuSecondsOf, mainThreadCpuSeconds } from './cpu-time.ts';

export interface TransferOptions {
  /** Of a tunnel of ours; absent: the kernel's sockets. */
  readonly conf?: string;
  readonly host: string;
  /** Where the server sends without end; it reads without end at the next. */
  readonly port: number;
  readonly connections: number;
  readonly direction: 'download' | 'upload';
  /** All into one buffer (`onread`), or by events with a `Buffer` each, which is also what they are without this. */
  readonly reading?: 'buffer' | 'events';
  readonly warmupSeconds: number;
  readonly seconds: number;
  /** For uploads: path of a socket that tells how many bytes have arrived. */
  readonly counter?: string;
  /** Process ids whose CPU time counts too, by name. */
  readonly watch?: Readonly<Record<string, number>>;
  /** The UDP port at the other end of the tunnel: datagrams that our socket has dropped are then counted. */
  readonly farPort?: number;
}

export interface Transfer {
  readonly bytes: number;
  readonly elapsedSeconds: number;
  readonly mbitPerSecond: number;
  /** Of the process, with all its threads. */
  readonly cpuSeconds: number;
  /** Of its main thread, where the embedder's own code runs; where the system does not tell, of the process. */
  readonly mainThreadCpuSeconds: number;
  readonly watched: Readonly<Record<string, number>>;
  readonly loopP99Ms: number;
  readonly loopUtilization: number;
  /** Datagrams for which the receive buffer had no room. */
  readonly drops: number;
}

/** The kernel's, or a tunnel's. */
type Stream = nodeNet.Socket | TunnelSocket;

interface Target {
  readonly host: string;
  readonly port: number;
  readonly onread?: { readonly buffer: Uint8Array; readonly callback: (bytes: number) => boolean };
}

const HANDSHAKE_SECONDS = 15;
const CONNECT_SECONDS = 10;

export async function measureTransfer(options: TransferOptions): Promise<Transfer> {
  const tunnel = options.conf === undefined ? undefined : await openTunnel(options.conf);
  const moving = new Moving(options, (to) => tunnel?.net.connect(to) ?? nodeNet.connect(to));
  try {
    await moving.start();
    await sleep(options.warmupSeconds * 1000);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const loopBefore = performance.eventLoopUtilization();
    const before = await moving.readings();
    await sleep(options.seconds * 1000);
    const after = await moving.readings();
    const loop = performance.eventLoopUtilization(loopBefore);
    delay.disable();
    const bytes = after.bytes - before.bytes;
    if (bytes === 0) throw new Error('nothing came through');
    const elapsedSeconds = (after.at - before.at) / 1000;
    return {
      bytes,
      elapsedSeconds,
      mbitPerSecond: (bytes * 8) / elapsedSeconds / 1e6,
      cpuSeconds: after.cpu - before.cpu,
      mainThreadCpuSeconds: after.mainThread - before.mainThread,
      watched: Object.fromEntries(
        Object.entries(after.watched).map(([name, seconds]) => [name, seconds - before.watched[name]!]),
      ),
      loopP99Ms: delay.percentile(99) / 1e6,
      loopUtilization: loop.utilization,
      drops: after.drops - before.drops,
    };
  } finally {
    moving.stop();
    await tunnel?.close();
  }
}

export function perGib(seconds: number, bytes: number): number {
  return seconds / (bytes / 2 ** 30);
}

interface Readings {
  readonly at: number;
  readonly bytes: number;
  readonly cpu: number;
  readonly mainThread: number;
  readonly watched: Readonly<Record<string, number>>;
  readonly drops: number;
}

class Moving {
  readonly #options: TransferOptions;
  readonly #dial: (to: Target) => Stream;
  /** What is written, or where what is read goes. */
  readonly #chunk: Buffer = Buffer.alloc(64 << 10);
  #streams: readonly Stream[] = [];
  #read = 0;
  #failure: Error | undefined;

  constructor(options: TransferOptions, dial: (to: Target) => Stream) {
    this.#options = options;
    this.#dial = dial;
  }

  async start(): Promise<void> {
    const { connections, direction } = this.#options;
    this.#streams = await Promise.all(Array.from({ length: connections }, () => this.#connect()));
    for (const stream of this.#streams) {
      stream.on('error', (error: Error) => {
        this.#failure = error;
      });
      if (direction === 'upload') this.#pour(stream);
    }
  }

  /** Throws what a connection failed with. */
  async readings(): Promise<Readings> {
    if (this.#failure) throw this.#failure;
    const { watch = {}, farPort } = this.#options;
    const bytes = await this.#bytesArrived();
    const { user, system } = process.cpuUsage();
    const cpu = (user + system) / 1e6;
    return {
      at: performance.now(),
      bytes,
      cpu,
      mainThread: mainThreadCpuSeconds() ?? cpu,
      watched: Object.fromEntries(Object.entries(watch).map(([name, pid]) => [name, cpuSecondsOf(pid)])),
      drops: farPort === undefined ? 0 : dropsTowards(farPort),
    };
  }

  stop(): void {
    for (const stream of this.#streams) stream.destroy();
  }

  /** A proxy that has just been started may not listen yet. */
  async #connect(): Promise<Stream> {
    const { host, port, direction, reading = 'events' } = this.#options;
    const download = direction === 'download';
    // From the first byte on: what waits in buffers until the last of them is connected would be counted as fast.
    const count = (bytes: number): boolean => {
      this.#read += bytes;
      return true;
    };
    const onread = download && reading === 'buffer' ? { onread: { buffer: this.#chunk, callback: count } } : {};
    const to = { host, port: download ? port : port + 1, ...onread };
    for (const deadline = performance.now() + CONNECT_SECONDS * 1000; ; await sleep(20)) {
      const stream = this.#dial(to);
      if (download && reading === 'events') stream.on('data', (data: Buffer) => count(data.length));
      try {
        await once(stream, 'connect');
        return stream;
      } catch (error) {
        if (performance.now() > deadline) throw error;
      }
    }
  }

  #pour(stream: Stream): void {
    stream.write(this.#chunk, () => {
      if (!stream.destroyed) this.#pour(stream);
    });
  }

  /** What a sender has got rid of may still stand in a queue: uploads are counted where they arrive. */
  async #bytesArrived(): Promise<number> {
    const { direction, counter } = this.#options;
    if (direction === 'download') return this.#read;
    const text = await nodeNet.connect(counter!).setEncoding('utf8').toArray();
    return Number(text.join(''));
  }
}

async function openTunnel(conf: string): Promise<Tunnel> {
  const tunnel = await Tunnel.open({ wireguard: parseWireGuardConfig(conf) });
  try {
    await tunnel.ready({ signal: AbortSignal.timeout(HANDSHAKE_SECONDS * 1000) });
    return tunnel;
  } catch (error) {
    await tunnel.close();
    throw error;
  }
}

/** By our sockets that are connected to this port on loopback: the last column of /proc/net/udp. 0 where there is none. */
function dropsTowards(remotePort: number): number {
  const port = remotePort.toString(16).toUpperCase().padStart(4, '0');
  try {
    const rows = readFileSync('/proc/net/udp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    return rows.filter(([, , to]) => to?.endsWith(`:${port}`)).reduce((sum, row) => sum + Number(row.at(-1)), 0);
  } catch {
    return 0;
  }
}
