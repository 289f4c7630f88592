/**
 * A lab of two hosts: a client namespace and a server namespace joined by one cable, real wireguard-go on the server.
 *
 *   client 10.9.0.1 fd09::1  ----cable----  10.9.0.2 fd09::2 server
 *   tunnel 10.66.0.1 fd66::1                10.66.0.2 fd66::2
 */
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { end, Namespaces, until, wg } from './namespaces.ts';
import { WireGuardServer } from './wireguard-server.ts';

export { until } from './namespaces.ts';

export const INNER = { client: { 4: '10.66.0.1', 6: 'fd66::1' }, server: { 4: '10.66.0.2', 6: 'fd66::2' } } as const;
export const OUTER = { client: { 4: '10.9.0.1', 6: 'fd09::1' }, server: { 4: '10.9.0.2', 6: 'fd09::2' } } as const;

export interface LabOptions {
  readonly presharedKey?: boolean;
  readonly mtu?: number;
  /** False: no wireguard-go on the server; the test puts something else there. */
  readonly server?: boolean;
}

export class Lab extends Namespaces {
  readonly client: string = `slc${this.id}`;
  readonly server: string = `sls${this.id}`;
  readonly serverInterface: string = `slw${this.id}`;
  /** The TUN of `startKernelClient`. */
  readonly kernelInterface: string = `slk${this.id}`;
  readonly #wireguard: WireGuardServer;

  static async create(options: LabOptions = {}): Promise<Lab> {
    const lab = new Lab(options);
    lab.#join();
    if (options.server !== false) await lab.startServer();
    return lab;
  }

  private constructor(options: LabOptions) {
    super();
    this.#wireguard = new WireGuardServer(this, {
      namespace: this.server,
      interface: this.serverInterface,
      addresses: [`${INNER.server[4]}/24`, `${INNER.server[6]}/64`],
      clientAddresses: [`${INNER.client[4]}/32`, `${INNER.client[6]}/128`],
      ...options,
    });
  }

  get keys(): WireGuardServer['keys'] {
    return this.#wireguard.keys;
  }

  get clientPublicKey(): string {
    return this.#wireguard.clientPublicKey;
  }

  get port(): number {
    return this.#wireguard.port;
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
      `MTU = ${this.#wireguard.mtu}`,
      '[Peer]',
      `PublicKey = ${this.#wireguard.publicKey}`,
      ...(this.keys.psk ? [`PresharedKey = ${this.keys.psk}`] : []),
      'AllowedIPs = 0.0.0.0/0, ::/0',
      `Endpoint = ${options.endpoint ?? `${address}:${this.port}`}`,
      `PersistentKeepalive = ${options.keepalive ?? 25}`,
      '',
    ].join('\n');
  }

  /** wireguard-go on the server, with the client as its peer. Called again after `killServer`, with the same keys. */
  async startServer(): Promise<void> {
    await this.#wireguard.start();
    // The host's default may be another; the figures of the path table are CUBIC's.
    this.ip('-n', this.server, 'route', 'replace', '10.66.0.0/24', 'dev', this.serverInterface, 'congctl', 'cubic');
  }

  /** kill -9, as a crash would. The interface goes with it. */
  async killServer(): Promise<void> {
    await this.#wireguard.kill();
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
    this.ip('-n', this.client, 'link', 'set', name, 'mtu', String(this.#wireguard.mtu), 'up');
    this.ip('-n', this.client, 'route', 'replace', '10.66.0.0/24', 'dev', name, 'congctl', 'cubic');
    return async () => {
      await end(daemon, 'SIGTERM');
      rmSync(socket, { force: true });
    };
  }

  /** What `wg show … dump` says of the client: its endpoint and the time of its last handshake, in seconds. */
  serverView(): { readonly endpoint: string; readonly handshakeSeconds: number } {
    return this.#wireguard.view();
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    this.#wireguard.forget();
  }

  #join(): void {
    for (const name of [this.client, this.server]) this.namespace(name);
    const addresses = (side: 'client' | 'server'): string[] => [`${OUTER[side][4]}/24`, `${OUTER[side][6]}/64`];
    this.connect(
      { namespace: this.client, interface: this.cable, addresses: addresses('client') },
      { namespace: this.server, interface: `s${this.server.slice(2)}`, addresses: addresses('server') },
    );
  }
}
