/** The library in the client's namespace of a rig (agents/client.mjs), with types. */
import { join } from 'node:path';
import type { StatusSnapshot } from '../../src/index.ts';
import type { Agent } from './agent.ts';
import type { LeakRig } from './leak-rig.ts';
import { end } from './namespaces.ts';

export interface Transfer {
  /** Verified bytes. */
  readonly downloaded: number;
  readonly received: number;
  readonly numPeers: number;
  readonly done: boolean;
  readonly paused: boolean;
  readonly announcedPort: number;
}

/** What the tunnel emitted, and when by the host's clock. */
export interface TunnelTold {
  readonly event: string;
  readonly atMs: number;
  readonly port?: number;
  readonly state?: string;
  readonly reasons?: readonly string[];
  readonly [key: string]: unknown;
}

export interface FetchResult {
  readonly status?: number;
  readonly text?: string;
  readonly error?: string;
}

export class LeakClient {
  readonly agent: Agent;
  readonly #rig: LeakRig;

  /** `options` but `conf` and `nodeFlags` are those of `Tunnel.open`. */
  static async open(
    rig: LeakRig,
    options: {
      readonly conf?: string;
      readonly nodeFlags?: readonly string[];
      readonly [option: string]: unknown;
    } = {},
  ): Promise<LeakClient> {
    const { conf = rig.conf(), nodeFlags = [], ...rest } = options;
    const client = new LeakClient(rig, nodeFlags);
    await client.agent.call('open', { conf, options: { stateDir: join(rig.folder, 'state'), ...rest } });
    return client;
  }

  private constructor(rig: LeakRig, nodeFlags: readonly string[]) {
    this.#rig = rig;
    this.agent = rig.agent(rig.client, 'client.mjs', [], nodeFlags);
  }

  ready(timeoutMs = 20_000): Promise<void> {
    return this.agent.call('ready', { timeoutMs });
  }

  status(): Promise<StatusSnapshot> {
    return this.agent.call('status');
  }

  /** All so far, the latest last. */
  async events(event?: string): Promise<readonly TunnelTold[]> {
    const all = await this.agent.call<readonly TunnelTold[]>('events');
    return event === undefined ? all : all.filter((told) => told.event === event);
  }

  /** The first event that fits, as soon as there is one. */
  async event(fits: (told: TunnelTold) => boolean, complaint: string, limitMs = 20_000): Promise<TunnelTold> {
    return eventually(async () => (await this.events()).find(fits), complaint, limitMs);
  }

  /** Starts a transfer of the swarm's torrent; `client` and `options` are WebTorrent's. */
  torrent(file: string, settings: { readonly client?: object; readonly options?: object } = {}): Promise<void> {
    return this.agent.call('torrent', { file, folder: join(this.#rig.folder, 'library'), ...settings });
  }

  transfer(): Promise<Transfer> {
    return this.agent.call('transfer');
  }

  fetch(url: string, timeoutMs?: number): Promise<FetchResult> {
    return this.agent.call('fetch', { url, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }

  /** A whole file, in milliseconds; by a reader that takes no more than `bytesPerSecond`. */
  download(url: string, bytesPerSecond?: number): Promise<{ readonly sha256: string; readonly ms: number }> {
    return this.agent.call('download', { url, ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }) });
  }

  /** Random bytes to the server, in milliseconds. */
  upload(url: string, bytes: number): Promise<{ readonly intact: boolean; readonly ms: number }> {
    return this.agent.call('upload', { url, bytes });
  }

  /** The error code of a connection attempt, or null if it succeeded. */
  connect(host: string, port: number, timeoutMs?: number): Promise<string | null> {
    return this.agent.call('connect', { host, port, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }

  send(host: string, port: number, text?: string): Promise<string | null> {
    return this.agent.call('send', { host, port, ...(text === undefined ? {} : { text }) });
  }

  /** Closes the tunnel in good order and ends the process. */
  async close(): Promise<void> {
    await this.agent.call('close');
    await end(this.agent.process, 'SIGTERM');
  }

  /** Ends the process without a word. */
  async kill(): Promise<void> {
    await end(this.agent.process, 'SIGKILL');
  }
}

/** What `ask` answers as soon as it is anything. */
export async function eventually<T>(
  ask: () => Promise<T | undefined>,
  complaint: string,
  limitMs = 20_000,
): Promise<T> {
  for (const deadline = performance.now() + limitMs; ; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(complaint);
  }
}
