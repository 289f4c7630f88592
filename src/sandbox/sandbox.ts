/** The sandbox on a UDP port: the machine, its driver, and hosts with sockets. */

import { type Endpoint, formatEndpoint, formatIp, type IpAddress, ip } from '../core/base/address.ts';
import { fromBase64, toBase64 } from '../core/base/bytes.ts';
import type { Crypto, Random } from '../core/base/crypto.ts';
import { randomBytes } from '../core/base/random.ts';
import { type Clock, systemClock } from '../node/clock.ts';
import { selectCrypto } from '../node/crypto/select.ts';
import { Driver } from '../node/driver.ts';
import { systemRandom } from '../node/random.ts';
import { openTimestampState, type TimestampState } from '../node/timestamp-state.ts';
import { openDgramPort, type UdpPort } from '../node/udp-port.ts';
import { clientAddresses, EXIT_ADDRESSES, exitAddresses, GATEWAY_ADDRESSES, hostAddresses } from './addressing.ts';
import { clientStats, formatClientConfig, type SandboxClientOptions, type SandboxClientStats } from './client.ts';
import type { DnsZone } from './dns-zone.ts';
import type { ExitEcho } from './exit-echo.ts';
import type { Faults } from './faults.ts';
import { HostEngine, SandboxHost } from './host.ts';
import { NatPmpSwitches } from './natpmp-gateway.ts';
import type { ClientNode } from './nodes.ts';
import type { SandboxClient, SandboxHostOptions, SandboxOptions, SandboxStats } from './options.ts';
import type { PortChecker } from './port-checker.ts';
import { SandboxMachine } from './sandbox-machine.ts';
import { SeededRandom } from './seeded-random.ts';

/** The gateway's switches, and what can be done to it at once. */
export class SandboxNatPmp extends NatPmpSwitches {
  readonly #changePort: () => void;

  /** @internal */
  constructor(changePort: () => void) {
    super();
    this.#changePort = changePort;
  }

  /** Takes every forwarded port away; renewals are given other ones. */
  changePort(): void {
    this.#changePort();
  }
}

export class Sandbox {
  /** Where WireGuard listens, as it stands in a `.conf`. */
  readonly endpoint: string;
  /** Base64. */
  readonly publicKey: string;
  /** Answers every caller with the address it is seen from; `/json` as JSON. */
  readonly echoUrl: string = 'http://ip.sluice.test/';
  /** For `probe.urls` and `probe.urlsV6` of a tunnel to this sandbox: the servers of the real internet are not here. */
  readonly probeUrls: readonly string[] = [this.echoUrl];
  /** Dials its caller back at the port and answers `open` or `closed`: for `portForward.checkUrl`. */
  readonly portCheckUrl: string = 'http://port.sluice.test/{{PORT}}';
  /** The line between clients and server, in both directions. */
  readonly faults: Faults;
  /** Names of the virtual internet, and the switches of its name servers. */
  readonly dns: DnsZone;
  readonly natpmp: SandboxNatPmp;
  /** Switches of the server behind `echoUrl`. */
  readonly exitEcho: Pick<ExitEcho, 'lie' | 'silent'>;
  /** Switches of the server behind `portCheckUrl`. */
  readonly portChecker: Pick<PortChecker, 'silent'>;
  readonly #machine: SandboxMachine;
  readonly #driver: Driver;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #crypto: Crypto;
  readonly #port: UdpPort;
  readonly #timestamps: TimestampState;
  readonly #hosts: Set<SandboxHost>;
  #clientCount = 0;
  #hostCount = 0;
  #rotations = 0;
  #closing: Promise<void> | undefined;

  /** Opens the UDP port and starts the server. Throws `ERR_UDP_PORT`, `ERR_CRYPTO_SELF_TEST`, RangeError for a malformed option. */
  static async start(options: SandboxOptions = {}): Promise<Sandbox> {
    const crypto = await selectCrypto(options.crypto === undefined ? {} : { prefer: options.crypto });
    const random = options.seed === undefined ? systemRandom : new SeededRandom(options.seed);
    const privateKey = options.privateKey === undefined ? randomBytes(random, 32) : keyOf(options.privateKey);
    const identity = crypto.keyPair(privateKey);
    const timestamps = await openTimestampState(identity.publicKey);
    identity.wipe();
    const clock = systemClock;
    let machine: SandboxMachine | undefined;
    const natpmp = new SandboxNatPmp(() => driver.mutate((now) => machine?.natpmp.changePort(now)));
    machine = new SandboxMachine(
      {
        crypto,
        random,
        privateKey,
        timestamp: () => timestamps.next(),
        exitAddresses: exitAddressesOf(options),
        natpmp,
        ...(options.mtu === undefined ? {} : { mtu: options.mtu }),
      },
      clock.now(),
    );
    const hosts = new Set<SandboxHost>();
    const driver = new Driver({
      machine,
      clock,
      onTurn: () => {
        for (const host of hosts) host.deliver();
      },
    });
    const port = await openDgramPort(
      { bind: bindOf(options), mtu: machine.mtu, allocate: crypto.allocate, release: crypto.release },
      {
        onBurst: (burst) => driver.handleBurst(burst),
        onDrain: () => driver.handleDrain(),
        // A port on loopback does not go away; a single failed send is a lost datagram.
        onError: () => {},
      },
    ).catch((error: unknown) => {
      driver.stop();
      machine.close();
      throw error;
    });
    driver.attach(port);
    return new Sandbox({ machine, natpmp, driver, clock, random, crypto, port, timestamps, hosts });
  }

  private constructor(parts: SandboxParts) {
    const { machine, natpmp, port } = parts;
    this.#machine = machine;
    this.#driver = parts.driver;
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#crypto = parts.crypto;
    this.#port = port;
    this.#timestamps = parts.timestamps;
    this.#hosts = parts.hosts;
    this.endpoint = formatEndpoint(port.local);
    this.publicKey = toBase64(machine.publicKey);
    this.faults = machine.faults;
    this.dns = machine.zone;
    this.natpmp = natpmp;
    this.exitEcho = machine.echo;
    this.portChecker = machine.checker;
  }

  /** Makes a key pair, an address and a configuration for one more client. */
  addClient(options: SandboxClientOptions = {}): SandboxClient {
    const number = this.#clientCount++;
    const addresses = clientAddresses(number).filter(({ family }) => family === 4 || (options.ipv6 ?? true));
    const privateKey = clamped(randomBytes(this.#random, 32));
    const identity = this.#crypto.keyPair(privateKey);
    const { publicKey } = identity;
    const preshared = options.presharedKey ? randomBytes(this.#random, 32) : undefined;
    const secret = preshared ? { presharedKey: preshared } : {};
    const node = this.#now((now) => this.#machine.addClient({ publicKey, addresses, ...secret }, now));
    if (options.portForward === false) for (const address of addresses) this.#machine.natpmp.refuseClient(address);
    const { address, port } = this.#port.local;
    const conf = formatClientConfig({
      ...options,
      privateKey,
      addresses,
      preshared,
      dns: [GATEWAY_ADDRESSES[0]!],
      serverPublicKey: this.#machine.publicKey,
      host: formatIp(address),
      port,
      name: `client ${number + 1}`,
    });
    privateKey.fill(0);
    identity.wipe();
    return {
      conf,
      addresses: addresses.map(formatIp),
      publicKey: toBase64(node.publicKey),
      stats: () => this.#clientStats(node),
      remove: () => this.#now((now) => this.#machine.removeClient(node, now)),
    };
  }

  /** Puts one more host on the virtual internet. Throws RangeError if an address is malformed or taken. */
  addHost(options: SandboxHostOptions = {}): SandboxHost {
    const addresses = options.addresses?.map(ip) ?? hostAddresses(this.#hostCount++);
    if (addresses.length === 0) throw new RangeError('"addresses" expected at least one');
    const node = this.#now((now) => this.#machine.addHost(addresses, now, options.mtu));
    const { name } = options;
    if (name !== undefined) this.dns.add(name, addresses);
    const host = new SandboxHost(new HostEngine(node, this.#machine, this.#driver), name, () => {
      if (name !== undefined) this.dns.delete(name, addresses);
      this.#hosts.delete(host);
      this.#machine.removeHost(node);
    });
    this.#hosts.add(host);
    return host;
  }

  /** Addresses by which the virtual internet sees the clients now. */
  get exitAddresses(): readonly string[] {
    return ([4, 6] as const).flatMap((family) => {
      const address = this.#machine.nat.publicAddress(family);
      return address ? [formatIp(address)] : [];
    });
  }

  /**
   * Moves the exit to another address: connections over the old one are dead, forwarded ports stay. Without an argument both
   * families move on by one. Throws RangeError for a malformed address or one that a host has.
   */
  rotateExitAddress(address?: string): void {
    const next = address === undefined ? exitAddresses(++this.#rotations) : [ip(address)];
    if (next.some((candidate) => this.#machine.router.owner(candidate)))
      throw new RangeError('"address" expected one that nobody has');
    this.#now((now) => {
      for (const candidate of next)
        if (this.#machine.nat.publicAddress(candidate.family)) this.#machine.nat.setPublicAddress(candidate, now);
    });
  }

  /** The server loses its memory, as by a power cut: sessions, translations, leases and the epoch. Clients and keys stay. */
  restart(): void {
    this.#now((now) => this.#machine.restart(now));
  }

  stats(): SandboxStats {
    const { server, router, nat, drops } = this.#machine;
    return {
      endpoint: this.endpoint,
      exitAddresses: this.exitAddresses,
      clients: [...this.#machine.clients].map((client) => this.#clientStats(client)),
      hosts: this.#hosts.size,
      sessions: nat.sessionCount,
      link: structuredClone(this.#machine.linkCounts()),
      drops: {
        wireguard: server.device.drops.toJSON(),
        router: router.drops.toJSON(),
        nat: nat.drops.toJSON(),
        sandbox: drops.toJSON(),
      },
    };
  }

  /** Closes every host and the port. Clients see silence. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#hosts].map((host) => host.close()));
    this.#driver.stop();
    this.#machine.close();
    await Promise.all([this.#port.close(), this.#timestamps.close()]);
  }

  #clientStats(client: ClientNode): SandboxClientStats {
    const now = this.#clock.now();
    return clientStats(client, this.#machine.natpmp.leases(now), now);
  }

  /** Runs one mutation at once and returns what it returned. */
  #now<T>(change: (now: ReturnType<Clock['now']>) => T): T {
    let result: { readonly value: T } | undefined;
    this.#driver.mutate((now) => {
      result = { value: change(now) };
    });
    if (!result) throw new Error('The sandbox is closed.');
    return result.value;
  }
}

interface SandboxParts {
  readonly machine: SandboxMachine;
  readonly natpmp: SandboxNatPmp;
  readonly driver: Driver;
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly port: UdpPort;
  readonly timestamps: TimestampState;
  readonly hosts: Set<SandboxHost>;
}

function exitAddressesOf({ publicAddress, publicAddressV6 }: SandboxOptions): readonly IpAddress[] {
  const v4 = publicAddress === undefined ? EXIT_ADDRESSES[0]! : ip(publicAddress);
  if (publicAddressV6 === null) return [v4];
  return [v4, publicAddressV6 === undefined ? EXIT_ADDRESSES[1]! : ip(publicAddressV6)];
}

function bindOf({ listen = {} }: SandboxOptions): Endpoint {
  return { address: ip(listen.address ?? '127.0.0.1'), port: listen.port ?? 0 };
}

function keyOf(text: string): Uint8Array {
  const bytes = fromBase64(text);
  if (bytes?.length !== 32) throw new RangeError('"privateKey" expected 32 bytes in base64');
  return bytes;
}

/** The form in which `wg genkey` writes a private key (RFC 7748 §5). */
function clamped(key: Uint8Array): Uint8Array {
  key[0]! &= 0xf8;
  key[31] = (key[31]! & 0x7f) | 0x40;
  return key;
}
