/**
 * A closed internet of four namespaces, in which a leak would succeed: the client reaches every host directly, over IPv4 and IPv6,
 * and its own resolver answers every name. Real wireguard-go with NAT on the VPN server.
 *
 *   client 192.0.2.2 ---- isp 192.0.2.1 ---- server 198.51.100.2 (also .3)
 *     2001:db8:c::2        |     ::1            2001:db8:5::2, tunnel 10.66.0.2 fd66::2
 *                          +---------------- internet 203.0.113.10 (also .11)
 *                                               2001:db8:f::10
 *
 * Oracle 1, at the ISP on the client's cable: nothing but WireGuard to the endpoint, and neighbour talk. Oracle 2, at the internet:
 * no packet of the client's own address. Oracle 3, in the tunnel: no payload that names that address.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Agent } from './agent.ts';
import type { CaptureOptions } from './capture.ts';
import { Namespaces } from './namespaces.ts';
import { WireGuardServer } from './wireguard-server.ts';

export const CLIENT = { 4: '192.0.2.2', 6: '2001:db8:c::2' } as const;
export const ISP = { 4: '192.0.2.1', 6: '2001:db8:c::1' } as const;
export const SERVER = { 4: '198.51.100.2', 6: '2001:db8:5::2', other: '198.51.100.3' } as const;
export const INTERNET = { 4: '203.0.113.10', 6: '2001:db8:f::10', other: '203.0.113.11' } as const;
export const INSIDE = { client: { 4: '10.66.0.1', 6: 'fd66::1' }, server: { 4: '10.66.0.2', 6: 'fd66::2' } } as const;

/** The ISP’s side of the internet’s cable. */
const AT_INTERNET = '203.0.113.1';

/** What both resolvers answer: the ISP's as the VPN's own, so that a name that leaks would be found. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  'web.test': [INTERNET[4], INTERNET[6]],
  'web6.test': [INTERNET[6]],
  'tracker.test': [INTERNET[4]],
  'router.bittorrent.com': [INTERNET[4]],
  'router.utorrent.com': [INTERNET[4]],
  'dht.transmissionbt.com': [INTERNET[4]],
  'vpn.test': [SERVER[4]],
};

/** One query that a resolver of the rig answered. */
export interface Query {
  readonly name: string;
  readonly from: string;
  readonly atMs: number;
}

export interface ConfOptions {
  readonly endpoint?: string;
  readonly privateKey?: string;
  readonly publicKey?: string;
  readonly presharedKey?: string;
  /** IPv4 alone in the tunnel. */
  readonly ipv4Only?: boolean;
  readonly keepalive?: number;
}

export class LeakRig extends Namespaces {
  readonly client: string = `lkc${this.id}`;
  readonly isp: string = `lkr${this.id}`;
  readonly server: string = `lks${this.id}`;
  readonly internet: string = `lki${this.id}`;
  readonly serverInterface: string = `lkw${this.id}`;
  readonly wireguard: WireGuardServer;
  /** The resolver that the client's resolv.conf names, at the ISP. */
  ispResolver!: Agent;
  /** The one in the tunnel that the `.conf` names. */
  tunnelResolver!: Agent;
  /** HTTP at the internet, which takes note of every request. */
  web!: Agent;

  static async create(): Promise<LeakRig> {
    const rig = new LeakRig();
    try {
      rig.#join();
      rig.#route();
      await rig.wireguard.start();
      await rig.#serve();
    } catch (error) {
      await rig.destroy();
      throw error;
    }
    return rig;
  }

  private constructor() {
    super();
    this.wireguard = new WireGuardServer(this, {
      namespace: this.server,
      interface: this.serverInterface,
      addresses: [`${INSIDE.server[4]}/24`, `${INSIDE.server[6]}/64`],
      clientAddresses: [`${INSIDE.client[4]}/32`, `${INSIDE.client[6]}/128`],
      presharedKey: true,
    });
  }

  /** The client's end of its cable. */
  get cable(): string {
    return `c${this.id}`;
  }

  /** The ISP's end of it: it stays up when the client's goes down. */
  get atIsp(): CaptureOptions {
    return { namespace: this.isp, interface: `rc${this.id}` };
  }

  get atInternet(): CaptureOptions {
    return { namespace: this.internet, interface: `i${this.id}` };
  }

  /** The server’s end of the tunnel. Of any interface, since its own goes away when wireguard-go is killed. */
  get inTunnel(): CaptureOptions {
    return { namespace: this.server, interface: 'any', filter: 'net 10.66.0.0/24 or ip6 net fd66::/64' };
  }

  /** The server's outer interface. */
  get serverCable(): string {
    return `s${this.id}`;
  }

  /** The client's `.conf`. */
  conf(options: ConfOptions = {}): string {
    const { keys, publicKey, mtu, port } = this.wireguard;
    const { 4: v4, 6: v6 } = INSIDE.client;
    return [
      '[Interface]',
      `PrivateKey = ${options.privateKey ?? keys.client}`,
      `Address = ${options.ipv4Only ? `${v4}/32` : `${v4}/32, ${v6}/128`}`,
      `DNS = ${INSIDE.server[4]}`,
      `MTU = ${mtu}`,
      '[Peer]',
      `PublicKey = ${options.publicKey ?? publicKey}`,
      `PresharedKey = ${options.presharedKey ?? keys.psk}`,
      `AllowedIPs = ${options.ipv4Only ? '0.0.0.0/0' : '0.0.0.0/0, ::/0'}`,
      `Endpoint = ${options.endpoint ?? `${SERVER[4]}:${port}`}`,
      `PersistentKeepalive = ${options.keepalive ?? 25}`,
      '',
    ].join('\n');
  }

  /** Writes a file into the rig's folder; its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** Gives a name to both resolvers. */
  async setName(name: string, addresses: readonly string[], ttlSeconds?: number): Promise<void> {
    const resolvers = [this.ispResolver, this.tunnelResolver];
    await Promise.all(resolvers.map((resolver) => resolver.call('set', { name, addresses, ttlSeconds })));
  }

  /** The names that the client’s host asked the ISP for, since `atMs`. */
  async namesAtIsp(atMs: number): Promise<string[]> {
    const asked = await this.ispResolver.call<readonly Query[]>('log');
    const own = asked.filter(({ from, atMs: at }) => at >= atMs && (from.startsWith('192.0.2.') || from.includes(':')));
    return own.map(({ name }) => name);
  }

  /** The names that were asked for in the tunnel, since `atMs`. */
  async namesInTunnel(atMs: number): Promise<string[]> {
    const asked = await this.tunnelResolver.call<readonly Query[]>('log');
    return asked.filter(({ atMs: at }) => at >= atMs).map(({ name }) => name);
  }

  /** All datagrams of the tunnel are lost at the ISP: those of both the server’s addresses, or of one. */
  cut(address = '198.51.100.0/24'): void {
    this.filter(this.isp, {
      table: 'inet cut',
      hook: 'filter hook forward priority 0',
      rules: [`ip daddr ${address} udp dport 51820 drop`, `ip saddr ${address} udp sport 51820 drop`],
    });
  }

  heal(): void {
    this.removeFilter(this.isp, 'inet cut');
  }

  /**
   * The line between the ISP and the server carries datagrams of the tunnel up to so many bytes of IP packet. With `told`, the ISP says
   * so to who sends more (RFC 1191), and lets fragments pass; without, they vanish.
   */
  narrow(mtu: number, told = false): void {
    this.widen();
    // The kernel hands bursts on in one piece (UDP GSO) as far as it can, which a rule about lengths would take for huge datagrams.
    this.ip('-n', this.client, 'link', 'set', this.cable, 'gso_max_segs', '1');
    if (told) this.#limitRoutes(['mtu', 'lock', String(mtu)]);
    else
      this.filter(this.isp, {
        table: 'inet narrow',
        hook: 'filter hook forward priority 0',
        rules: [`udp dport 51820 meta length > ${mtu} drop`, `udp sport 51820 meta length > ${mtu} drop`],
      });
  }

  /** The line carries 1500 bytes again. */
  widen(): void {
    this.removeFilter(this.isp, 'inet narrow');
    this.#limitRoutes([]);
  }

  /** The server takes IPv6 of the tunnel, and lets none of it out. */
  stopIpv6(): void {
    this.filter(this.server, {
      table: 'inet noipv6',
      hook: 'filter hook forward priority 0',
      rules: [`iifname "${this.serverInterface}" meta nfproto ipv6 drop`],
    });
  }

  letIpv6(): void {
    this.removeFilter(this.server, 'inet noipv6');
  }

  /** A packet from the server to the client through the tunnel, whose payload is `hex` over and over. */
  pingFromServer(hex: string): void {
    // Nobody need answer it.
    spawnSync('ip', ['netns', 'exec', this.server, 'ping', '-q', '-c', '1', '-W', '1', '-p', hex, INSIDE.client[4]]);
  }

  override async destroy(): Promise<void> {
    await super.destroy();
    this.wireguard.forget();
  }

  #join(): void {
    const { id } = this;
    this.namespace(this.client, { resolver: ISP[4] });
    for (const name of [this.isp, this.server]) this.namespace(name);
    this.namespace(this.internet, { resolver: AT_INTERNET });
    this.connect(
      { namespace: this.client, interface: this.cable, addresses: [`${CLIENT[4]}/24`, `${CLIENT[6]}/64`] },
      { ...this.atIsp, addresses: [`${ISP[4]}/24`, `${ISP[6]}/64`] },
    );
    const serverAddresses = [`${SERVER[4]}/24`, `${SERVER.other}/24`, `${SERVER[6]}/64`];
    this.connect(
      { namespace: this.server, interface: this.serverCable, addresses: serverAddresses },
      { namespace: this.isp, interface: `rs${id}`, addresses: ['198.51.100.1/24', '2001:db8:5::1/64'] },
    );
    this.connect(
      { ...this.atInternet, addresses: [`${INTERNET[4]}/24`, `${INTERNET.other}/24`, `${INTERNET[6]}/64`] },
      { namespace: this.isp, interface: `ri${id}`, addresses: [`${AT_INTERNET}/24`, '2001:db8:f::1/64'] },
    );
  }

  #route(): void {
    this.defaultRoutes();
    this.ip('-n', this.server, 'route', 'add', 'default', 'via', '198.51.100.1');
    this.ip('-n', this.server, '-6', 'route', 'add', 'default', 'via', '2001:db8:5::1');
    this.ip('-n', this.internet, 'route', 'add', 'default', 'via', AT_INTERNET);
    this.ip('-n', this.internet, '-6', 'route', 'add', 'default', 'via', '2001:db8:f::1');
    for (const name of [this.isp, this.server])
      this.run(name, 'sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    const out = `oifname "${this.serverCable}"`;
    this.filter(this.server, {
      table: 'inet nat',
      hook: 'nat hook postrouting priority srcnat',
      rules: [`${out} ip saddr 10.66.0.0/24 masquerade`, `${out} ip6 saddr fd66::/64 masquerade`],
    });
  }

  /** The client's; they go when its cable goes down. */
  defaultRoutes(): void {
    this.ip('-n', this.client, 'route', 'replace', 'default', 'via', ISP[4]);
    this.ip('-n', this.client, '-6', 'route', 'replace', 'default', 'via', ISP[6]);
  }

  #limitRoutes(limit: readonly string[]): void {
    const [client, server] = [`rc${this.id}`, `rs${this.id}`];
    this.ip('-n', this.isp, 'route', 'replace', '192.0.2.0/24', 'dev', client, 'src', ISP[4], ...limit);
    this.ip('-n', this.isp, 'route', 'replace', '198.51.100.0/24', 'dev', server, 'src', '198.51.100.1', ...limit);
  }

  async #serve(): Promise<void> {
    this.ispResolver = this.agent(this.isp, 'dns.mjs');
    this.tunnelResolver = this.agent(this.server, 'dns.mjs');
    this.web = this.agent(this.internet, 'web.mjs');
    await Promise.all([
      this.ispResolver.call('open', { addresses: [ISP[4], ISP[6], AT_INTERNET], names: NAMES }),
      this.tunnelResolver.call('open', { addresses: [INSIDE.server[4]], names: NAMES }),
      this.web.call('open', { addresses: [INTERNET[4], INTERNET.other, INTERNET[6]], folder: this.folder }),
    ]);
  }
}
