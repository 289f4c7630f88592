/**
 * A lab of two hosts: a client namespace and a server namespace joined by one cable, real wireguard-go on the server. Nothing
 * leaves the machine; every process is started here and ended here, by its id.
 *
 *   client 10.9.0.1 fd09::1  ----cable----  10.9.0.2 fd09::2 server
 *   tunnel 10.66.0.1 fd66::1                10.66.0.2 fd66::2
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from './agent.ts';

export const INNER = { client: { 4: '10.66.0.1', 6: 'fd66::1' }, server: { 4: '10.66.0.2', 6: 'fd66::2' } } as const;
export const OUTER = { client: { 4: '10.9.0.1', 6: 'fd09::1' }, server: { 4: '10.9.0.2', 6: 'fd09::2' } } as const;

export interface LabOptions {
  readonly presharedKey?: boolean;
  readonly mtu?: number;
  /** False: no wireguard-go on the server; the test puts something else there. */
  readonly server?: boolean;
}

let serial = 0;

export class Lab {
  readonly client: string;
  readonly server: string;
  readonly serverInterface: string;
  /** The TUN of `startKernelClient`. */
  readonly kernelInterface: string;
  readonly folder: string = mkdtempSync(join(tmpdir(), 'sluice-lab-'));
  readonly keys: { readonly client: string; readonly server: string; readonly psk: string | undefined };
  readonly serverPublicKey: string;
  readonly clientPublicKey: string;
  readonly port: number = 51820;
  readonly #mtu: number;
  readonly #processes = new Set<ChildProcess>();
  #daemon: ChildProcess | undefined;

  static async create(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(options);
    lab.#cable();
    if (options.server !== false) await lab.startServer();
    return lab;
  }

  private constructor(options: LabOptions) {
    const id = `${(process.pid % 100_000).toString(36)}${(serial++).toString(36)}`;
    this.client = `slc${id}`;
    this.server = `sls${id}`;
    this.serverInterface = `slw${id}`;
    this.kernelInterface = `slk${id}`;
    this.#mtu = options.mtu ?? 1420;
    this.keys = {
      client: wg(['genkey']),
      server: wg(['genkey']),
      psk: options.presharedKey ? wg(['genpsk']) : undefined,
    };
    this.serverPublicKey = wg(['pubkey'], this.keys.server);
    this.clientPublicKey = wg(['pubkey'], this.keys.client);
  }

  /** The client's end of the cable: all that leaves the client passes here. */
  get cable(): string {
    return `c${this.client.slice(2)}`;
  }

  /** The client's `.conf`. `endpoint` defaults to the server on the cable, over IPv4. */
  conf(options: { readonly outer?: 4 | 6; readonly endpoint?: string; readonly keepalive?: number } = {}): string {
    const address = options.outer === 6 ? `[${OUTER.server[6]}]` : OUTER.server[4];
    return [
      '[Interface]',
      `PrivateKey = ${this.keys.client}`,
      `Address = ${INNER.client[4]}/32, ${INNER.client[6]}/128`,
      `DNS = ${INNER.server[4]}`,
      `MTU = ${this.#mtu}`,
      '[Peer]',
      `PublicKey = ${this.serverPublicKey}`,
      ...(this.keys.psk ? [`PresharedKey = ${this.keys.psk}`] : []),
      'AllowedIPs = 0.0.0.0/0, ::/0',
      `Endpoint = ${options.endpoint ?? `${address}:${this.port}`}`,
      `PersistentKeepalive = ${options.keepalive ?? 25}`,
      '',
    ].join('\n');
  }

  /** wireguard-go on the server, with the client as its peer. Called again after `killServer`, with the same keys. */
  async startServer(): Promise<void> {
    this.#daemon = this.spawnIn(this.server, 'wireguard-go', ['-f', this.serverInterface], { LOG_LEVEL: 'error' });
    await until(() => existsSync(`/var/run/wireguard/${this.serverInterface}.sock`), 'wireguard-go did not start');
    const conf = join(this.folder, 'server.conf');
    writeFileSync(
      conf,
      `[Interface]\nPrivateKey = ${this.keys.server}\nListenPort = ${this.port}\n[Peer]\nPublicKey = ${this.clientPublicKey}\n` +
        `${this.keys.psk ? `PresharedKey = ${this.keys.psk}\n` : ''}AllowedIPs = ${INNER.client[4]}/32, ${INNER.client[6]}/128\n`,
      { mode: 0o600 },
    );
    wg(['setconf', this.serverInterface, conf]);
    this.ip('-n', this.server, 'addr', 'add', `${INNER.server[4]}/24`, 'dev', this.serverInterface);
    this.ip('-n', this.server, 'addr', 'add', `${INNER.server[6]}/64`, 'dev', this.serverInterface, 'nodad');
    this.ip('-n', this.server, 'link', 'set', this.serverInterface, 'mtu', String(this.#mtu), 'up');
    // The host's default may be another; the figures of the path table are CUBIC's.
    this.ip('-n', this.server, 'route', 'replace', '10.66.0.0/24', 'dev', this.serverInterface, 'congctl', 'cubic');
  }

  /** kill -9, as a crash would. The interface goes with it. */
  async killServer(): Promise<void> {
    await end(this.#daemon, 'SIGKILL');
    rmSync(`/var/run/wireguard/${this.serverInterface}.sock`, { force: true });
    await until(() => !this.#interfaceExists(), 'the interface did not go');
  }

  /** Starts one of `agents/` under Node in a namespace. */
  agent(namespace: string, script: string, args: readonly string[] = []): Agent {
    const file = join(import.meta.dirname, 'agents', script);
    return new Agent(this.spawnIn(namespace, process.execPath, [file, ...args], {}, 'pipe'));
  }

  /** Starts a script of `agents/` that says "ready"; `end` stops it. */
  async process(namespace: string, script: string, args: readonly string[]): Promise<{ end(): Promise<void> }> {
    const child = this.spawnIn(namespace, process.execPath, [join(import.meta.dirname, 'agents', script), ...args]);
    let output = '';
    child.stdout!.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until(() => output.includes('ready'), `${script} did not start`);
    return { end: () => end(child, 'SIGTERM') };
  }

  /** wireguard-go with a TUN on the client, so that the kernel's own TCP is the client. The result takes it down again. */
  async startKernelClient(endpoint: string): Promise<() => Promise<void>> {
    const name = this.kernelInterface;
    const socket = `/var/run/wireguard/${name}.sock`;
    const daemon = this.spawnIn(this.client, 'wireguard-go', ['-f', name], { LOG_LEVEL: 'error' });
    await until(() => existsSync(socket), 'wireguard-go did not start');
    const file = join(this.folder, 'kernel-client.conf');
    const conf = this.conf({ endpoint }).replace(/^(Address|DNS|MTU) = .*\n/gm, '');
    writeFileSync(file, conf, { mode: 0o600 });
    wg(['setconf', name, file]);
    this.ip('-n', this.client, 'addr', 'add', `${INNER.client[4]}/24`, 'dev', name);
    this.ip('-n', this.client, 'link', 'set', name, 'mtu', String(this.#mtu), 'up');
    this.ip('-n', this.client, 'route', 'replace', '10.66.0.0/24', 'dev', name, 'congctl', 'cubic');
    return async () => {
      await end(daemon, 'SIGTERM');
      rmSync(socket, { force: true });
    };
  }

  spawnIn(
    namespace: string,
    command: string,
    args: readonly string[],
    env: Record<string, string> = {},
    stdin: 'ignore' | 'pipe' = 'ignore',
  ): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', namespace, command, ...args], {
      stdio: [stdin, 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    this.#processes.add(child);
    child.once('exit', () => this.#processes.delete(child));
    return child;
  }

  /** Runs a command in a namespace to its end; its output. Throws if it fails. */
  run(namespace: string, command: string, ...args: readonly string[]): string {
    return execFileSync('ip', ['netns', 'exec', namespace, command, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  wg(...args: readonly string[]): string {
    return wg(args);
  }

  ip(...args: readonly string[]): void {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  }

  /** What `wg show … dump` says of the client: its endpoint and the time of its last handshake, in seconds. */
  serverView(): { readonly endpoint: string; readonly handshakeSeconds: number } {
    const line = wg(['show', this.serverInterface, 'dump']).split('\n')[1]!.split('\t');
    return { endpoint: line[2]!, handshakeSeconds: Number(line[4]) };
  }

  async destroy(): Promise<void> {
    await Promise.all([...this.#processes].map((child) => end(child, 'SIGTERM')));
    for (const name of [this.client, this.server]) execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
    rmSync(`/var/run/wireguard/${this.serverInterface}.sock`, { force: true });
    rmSync(this.folder, { recursive: true, force: true });
  }

  #cable(): void {
    const ends = { client: this.cable, server: `s${this.server.slice(2)}` };
    for (const name of [this.client, this.server]) {
      this.ip('netns', 'add', name);
      this.ip('-n', name, 'link', 'set', 'lo', 'up');
      this.run(name, 'sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');
    }
    this.ip(
      'link',
      'add',
      ends.client,
      'netns',
      this.client,
      'type',
      'veth',
      'peer',
      'name',
      ends.server,
      'netns',
      this.server,
    );
    for (const side of ['client', 'server'] as const) {
      this.ip('-n', this[side], 'addr', 'add', `${OUTER[side][4]}/24`, 'dev', ends[side]);
      this.ip('-n', this[side], 'addr', 'add', `${OUTER[side][6]}/64`, 'dev', ends[side], 'nodad');
      this.ip('-n', this[side], 'link', 'set', ends[side], 'up');
    }
  }

  #interfaceExists(): boolean {
    try {
      this.ip('-n', this.server, 'link', 'show', this.serverInterface);
      return true;
    } catch {
      return false;
    }
  }
}

export async function until(condition: () => boolean, complaint: string, limitMs: number = 10_000): Promise<void> {
  for (const deadline = Date.now() + limitMs; !condition(); await sleep(50)) {
    if (Date.now() > deadline) throw new Error(complaint);
  }
}

function wg(args: readonly string[], input?: string): string {
  return execFileSync('wg', args, { encoding: 'utf8', ...(input === undefined ? {} : { input }) }).trim();
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  const hurry = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await exited;
  clearTimeout(hurry);
}
