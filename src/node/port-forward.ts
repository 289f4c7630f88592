/**
 * Port forwarding as the tunnel's user sees it: which lease the options mean, which listeners it leads to, what the status tells.
 * The protocol itself is `core/portmap`.
 */

import { randomInt } from 'node:crypto';
import { formatIp, type IpAddress, parseIp, prefix } from '../core/base/address.ts';
import { SluiceError } from '../core/base/errors.ts';
import type { Instant } from '../core/base/instant.ts';
import type { LeaseEvent, LeaseReason } from '../core/portmap/messages.ts';
import type { WireGuardConfig } from '../core/tunnel/wireguard-config.ts';
import type { Clock } from './clock.ts';
import type { Engine, Mirror } from './engine.ts';
import type { LeaseDescription } from './engine-machine.ts';
import type { ForwardedProtocol, ForwardedSocket } from './forwarded.ts';
import { countdown } from './mirror.ts';
import { PortCheck, validateCheckUrl } from './port-check.ts';
import type { SocketLayer } from './socket-layer.ts';
import type { PortForwardStatus, Reason } from './status.ts';

export interface PortForwardOptions {
  /** `airvpn` is another name for `static`. */
  readonly provider: 'none' | 'natpmp' | 'protonvpn' | 'static' | 'airvpn';
  /** The port that the provider has assigned: with `static`, and only there. */
  readonly port?: number;
  /** An IPv4 address; default the first DNS server, else the first host of the tunnel's network. */
  readonly gateway?: string;
  /** The longest time between renewals; default 45. */
  readonly refreshSeconds?: number;
  /**
   * Who is asked, through the tunnel, whether the port can be reached from outside: a web address over IPv4 with `{{PORT}}` in it that
   * answers `open` or `closed`, or JSON with `reachable`. Default: nobody, and `reachable` stays `unknown`.
   */
  readonly checkUrl?: string;
}

/** What it needs of the tunnel around it. */
export interface PortForwardHost {
  readonly sockets: Pick<SocketLayer, 'forwardedSockets' | 'net' | 'setForwarding'>;
  readonly engine: Pick<Engine, 'control' | 'mirror'>;
  /** The port is this one now: only called when it was another one, or none. */
  onMapped(port: number): void;
  /** The same port, on another exit address. */
  onMoved(): void;
  onLost(reason: LeaseReason): void;
  readonly clock: Clock;
}

/** Where nobody else listens: the dynamic ports of RFC 6335 §6. */
const DYNAMIC_PORTS = [49_152, 65_536] as const;
/** A little more than the lease itself takes at most. */
const RELEASE_LIMIT_MS = 1_250;

export class PortForward {
  readonly #lease: LeaseDescription;
  /** Where forwarded sockets listen that name no port. */
  #internalPort: number;
  readonly #checkUrl: string | undefined;
  #host: PortForwardHost | undefined;
  #check: PortCheck | undefined;
  /** Whether a server had been opened with `forwarded` when the port was last checked. */
  #listening = false;
  #announced: number | undefined;
  /** The address that the announced port is on, as far as the gateway has said. */
  #exit: string | undefined;
  #released: () => void = () => {};

  /** Throws RangeError for an option that makes no sense, `ERR_CONFIG_VALUE` if no gateway can be told from the configuration. */
  constructor(options: PortForwardOptions = { provider: 'none' }, wireguard: WireGuardConfig) {
    this.#checkUrl = options.checkUrl;
    if (options.checkUrl !== undefined) validateCheckUrl(options.checkUrl);
    this.#lease = describe(options, wireguard);
    this.#internalPort = 'internalPort' in this.#lease ? this.#lease.internalPort : (options.port ?? 0);
  }

  /** For the engine. */
  get lease(): LeaseDescription {
    return 'internalPort' in this.#lease ? { ...this.#lease, internalPort: this.#internalPort } : this.#lease;
  }

  /** Before the first event and the first socket. */
  attach(host: PortForwardHost): void {
    this.#host = host;
    if (this.#checkUrl !== undefined)
      this.#check = new PortCheck({ url: this.#checkUrl, net: host.sockets.net, clock: host.clock });
    host.sockets.setForwarding(
      (protocol) => this.#portFor(protocol),
      () => this.#handleSocketChange(),
    );
  }

  /** From the engine. Sockets know their port before anybody is told. */
  handleEvent(event: LeaseEvent): void {
    this.#follow();
    switch (event.kind) {
      case 'mapped':
        this.#checkPort(event.port);
        this.#announce(event.port, event.externalAddress && formatIp(event.externalAddress));
        return;
      case 'lost':
        this.#announced = undefined;
        this.#checkPort(undefined);
        this.#host?.onLost(event.reason);
        return;
      case 'released':
        this.#released();
        return;
    }
  }

  status(mirror: Mirror, now: Instant): PortForwardStatus {
    const { provider, state, port, protocols, leaseSeconds, renewInSeconds } = mirror.lease;
    return {
      provider,
      state,
      port: port ?? null,
      protocols,
      leaseSeconds: leaseSeconds ?? null,
      renewInSeconds: countdown(renewInSeconds, mirror, now),
      reachable: this.#check?.reachable ?? 'unknown',
    };
  }

  /** Why there is no port though one is wanted. */
  reason({ lease: { state, reason } }: Mirror): Reason | null {
    return state === 'failed' ? (reason ?? null) : null;
  }

  /** Gives the port back; resolves when the gateway knows, or after a second. */
  release(): Promise<void> {
    this.#check?.close();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, RELEASE_LIMIT_MS);
      this.#released = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#host?.engine.control({ kind: 'release-port' });
    });
  }

  #announce(port: number, exit: string | undefined): void {
    const moved = exit !== undefined && this.#exit !== undefined && exit !== this.#exit;
    this.#exit = exit ?? this.#exit;
    if (port !== this.#announced) {
      this.#announced = port;
      this.#host?.onMapped(port);
    } else if (moved) this.#host?.onMoved();
  }

  /** The port for a forwarded socket that names none; 0 (any) if there is one already, for a port leads to one socket only. */
  #portFor(protocol: ForwardedProtocol): number {
    return this.#socketsOf(protocol).length > 0 ? 0 : this.#internalPort;
  }

  /** A forwarded socket was bound or closed: the mapping leads to the oldest listener, else to the oldest UDP socket. */
  #handleSocketChange(): void {
    const port = (this.#socketsOf('tcp')[0] ?? this.#socketsOf('udp')[0])?.internalPort;
    if (port !== undefined && port !== this.#internalPort) {
      this.#internalPort = port;
      this.#host?.engine.control({ kind: 'set-internal-port', port });
    }
    this.#follow();
    if (this.#listening !== this.#socketsOf('tcp').length > 0) this.#checkPort(this.#announced);
  }

  /** Nobody is asked before somebody listens: the answer is known. */
  #checkPort(port: number | undefined): void {
    const listening = this.#socketsOf('tcp').length > 0;
    this.#listening = listening;
    this.#check?.handlePort(listening ? port : undefined);
  }

  #socketsOf(protocol: ForwardedProtocol): readonly ForwardedSocket[] {
    return this.#host?.sockets.forwardedSockets(protocol) ?? [];
  }

  #follow(): void {
    const served = this.#host?.engine.mirror.served ?? [];
    const insidePorts = [...new Set(served.map(({ insidePort }) => insidePort))];
    for (const protocol of ['tcp', 'udp'] as const)
      for (const [index, socket] of this.#socketsOf(protocol).entries())
        if (index === 0) socket.setForwarding(served[0]?.port, insidePorts);
        else socket.setForwarding(undefined, []);
  }
}

function describe(options: PortForwardOptions, wireguard: WireGuardConfig): LeaseDescription {
  const { provider, port, refreshSeconds } = options;
  switch (provider) {
    case 'none':
      return { provider };
    case 'static':
    case 'airvpn':
      if (port === undefined) throw new RangeError('"portForward.port" expected the port that the provider assigned');
      return { provider: 'static', port };
    case 'natpmp':
    case 'protonvpn':
      if (refreshSeconds !== undefined && !(refreshSeconds >= 1))
        throw new RangeError(`"portForward.refreshSeconds" expected at least 1, got ${refreshSeconds}`);
      return {
        provider,
        gateway: gatewayOf(options.gateway, wireguard),
        internalPort: randomInt(...DYNAMIC_PORTS),
        ...(refreshSeconds === undefined ? {} : { refreshSeconds }),
      };
    default:
      throw new RangeError(
        `"portForward.provider" expected none, natpmp, protonvpn or static, got ${JSON.stringify(provider)}`,
      );
  }
}

function gatewayOf(text: string | undefined, { dns, addresses }: WireGuardConfig): IpAddress {
  if (text !== undefined) {
    const gateway = parseIp(text);
    if (gateway?.family === 4) return gateway;
    throw new RangeError(`"portForward.gateway" expected an IPv4 address, got ${JSON.stringify(text)}`);
  }
  const own = addresses.find(({ address }) => address.family === 4);
  const gateway = dns.find(({ family }) => family === 4) ?? (own && firstHost(own));
  if (gateway) return gateway;
  throw new SluiceError('ERR_CONFIG_VALUE', 'No port-forwarding gateway can be told from the configuration.', {
    hint: 'Name the gateway, or set the provider to none.',
  });
}

/** Of the interface's network; providers give out single addresses, whose gateway is the first of the /24 around. */
function firstHost({ address, bits }: WireGuardConfig['addresses'][number]): IpAddress {
  const network = prefix(address, bits > 30 ? 24 : bits).address.bytes;
  return { family: 4, bytes: network.with(3, network[3]! | 1) };
}
