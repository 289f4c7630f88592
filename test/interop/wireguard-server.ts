/** Real wireguard-go as the VPN server of a lab: started, killed as by a crash, and started again with the same keys. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { end, type Namespaces, until, wg } from './namespaces.ts';

export interface WireGuardServerOptions {
  readonly namespace: string;
  /** Unique on this host: it names a socket in /var/run/wireguard. */
  readonly interface: string;
  /** Of its end of the tunnel, with prefix lengths. */
  readonly addresses: readonly string[];
  /** What the client may send from. */
  readonly clientAddresses: readonly string[];
  readonly presharedKey?: boolean;
  readonly mtu?: number;
}

export class WireGuardServer {
  readonly port: number = 51820;
  readonly mtu: number;
  readonly keys: { readonly client: string; readonly server: string; readonly psk: string | undefined };
  readonly publicKey: string;
  readonly clientPublicKey: string;
  readonly #host: Namespaces;
  readonly #options: WireGuardServerOptions;
  #daemon: ChildProcess | undefined;

  constructor(host: Namespaces, options: WireGuardServerOptions) {
    this.#host = host;
    this.#options = options;
    this.mtu = options.mtu ?? 1420;
    this.keys = {
      client: wg(['genkey']),
      server: wg(['genkey']),
      psk: options.presharedKey ? wg(['genpsk']) : undefined,
    };
    this.publicKey = wg(['pubkey'], this.keys.server);
    this.clientPublicKey = wg(['pubkey'], this.keys.client);
  }

  async start(): Promise<void> {
    const { namespace, interface: name, addresses, clientAddresses } = this.#options;
    this.#daemon = this.#host.spawnIn(namespace, 'wireguard-go', ['-f', name], { LOG_LEVEL: 'error' });
    await until(() => existsSync(this.#socket), 'wireguard-go did not start');
    const conf = join(this.#host.folder, `${name}.conf`);
    const lines = [
      '[Interface]',
      `PrivateKey = ${this.keys.server}`,
      `ListenPort = ${this.port}`,
      '[Peer]',
      `PublicKey = ${this.clientPublicKey}`,
      ...(this.keys.psk ? [`PresharedKey = ${this.keys.psk}`] : []),
      `AllowedIPs = ${clientAddresses.join(', ')}`,
    ];
    writeFileSync(conf, `${lines.join('\n')}\n`, { mode: 0o600 });
    wg(['setconf', name, conf]);
    for (const address of addresses) this.#host.address(namespace, name, address);
    this.#host.ip('-n', namespace, 'link', 'set', name, 'mtu', String(this.mtu), 'up');
  }

  /** kill -9, as a crash would. The interface goes with it. */
  async kill(): Promise<void> {
    await end(this.#daemon, 'SIGKILL');
    this.forget();
    await until(() => !this.#interfaceExists(), 'the interface did not go');
  }

  /** The socket that a killed daemon leaves behind. */
  forget(): void {
    rmSync(this.#socket, { force: true });
  }

  /** What `wg show … dump` says of the client: its endpoint and the time of its last handshake, in seconds. */
  view(): { readonly endpoint: string; readonly handshakeSeconds: number } {
    const line = wg(['show', this.#options.interface, 'dump']).split('\n')[1]!.split('\t');
    return { endpoint: line[2]!, handshakeSeconds: Number(line[4]) };
  }

  get #socket(): string {
    return `/var/run/wireguard/${this.#options.interface}.sock`;
  }

  #interfaceExists(): boolean {
    try {
      this.#host.ip('-n', this.#options.namespace, 'link', 'show', this.#options.interface);
      return true;
    } catch {
      return false;
    }
  }
}
