/** The options of a client, and the refusal of those that would lead around the tunnel. */

export interface WebTorrentOptions {
  /** Accepts peers on the port that the provider forwards, and announces the external one. Needs a tunnel that forwards a port. */
  readonly forwarded?: boolean;
  /** The port to accept peers on; 0 or absent: any free one. */
  readonly torrentPort?: number;
  /** The DHT's UDP port; 0 or absent: any free one. */
  readonly dhtPort?: number;
  /** False: no trackers. */
  readonly tracker?: boolean | TrackerClientOptions;
  /** False: no DHT. */
  readonly dht?: boolean | DhtOptions;
  /** Peer exchange (BEP 11); on by default. */
  readonly utPex?: boolean;
  /** Web seeds (BEP 19); on by default. */
  readonly webSeeds?: boolean;
  /** Connections per torrent, at most (55). */
  readonly maxConns?: number;
  /** Bytes per second; -1: no limit. */
  readonly downloadLimit?: number;
  readonly uploadLimit?: number;
  /** False: a complete torrent dials nobody. */
  readonly seedOutgoingConnections?: boolean;
  /** Encrypted handshakes, as this version of WebTorrent understands them. */
  readonly secure?: boolean | number;
  /** Addresses never to talk to: a file, an URL (fetched through the tunnel) or a list. */
  readonly blocklist?: string | readonly string[];
  readonly peerId?: string | Uint8Array;
  readonly nodeId?: string | Uint8Array;
}

export interface TrackerClientOptions {
  /** Trackers for every torrent that is not private. */
  readonly announce?: readonly string[];
  /** Further parameters of every announce. */
  readonly getAnnounceOpts?: () => object;
}

export interface DhtOptions {
  /** `host:port` of the nodes to ask first; names are resolved inside the tunnel. False: none. */
  readonly bootstrap?: boolean | readonly string[];
  readonly concurrency?: number;
  readonly maxTables?: number;
  readonly maxPeers?: number;
  readonly maxAge?: number;
}

/** What would open sockets of its own, and why it is refused. */
const UNCARRIED = {
  utp: 'uTP is native code with sockets of its own',
  lsd: 'local service discovery is multicast on this host’s network',
  natUpnp: 'UPnP talks to this host’s router; the tunnel forwards ports itself',
  natPmp: 'NAT-PMP talks to this host’s router; the tunnel forwards ports itself',
} as const;

const UNCARRIED_TRACKER = {
  wrtc: 'WebRTC is native code with sockets of its own',
  rtcConfig: 'WebRTC is native code with sockets of its own',
  proxyOpts: 'a proxy would lead around the tunnel',
} as const;

const UNCARRIED_DHT = {
  socket: 'the DHT’s socket is the tunnel’s',
  krpc: 'the DHT’s socket is the tunnel’s',
  krpcSocket: 'the DHT’s socket is the tunnel’s',
  isIP: 'names must be resolved inside the tunnel',
} as const;

/** Returns what WebTorrent's constructor is given. Throws TypeError, naming the option, for what cannot be carried. */
export function clientOptions(options: WebTorrentOptions): Record<string, unknown> {
  refuse('', options, UNCARRIED);
  refuse('tracker.', options.tracker, UNCARRIED_TRACKER);
  refuse('dht.', options.dht, UNCARRIED_DHT);
  const { forwarded: _, tracker, dht, ...rest } = options;
  const off = Object.fromEntries(Object.keys(UNCARRIED).map((name) => [name, false]));
  return {
    ...rest,
    // WebTorrent and its parts write into the objects they are given.
    tracker: tracker === false ? false : { ...(tracker === true ? {} : tracker), wrtc: false },
    dht: dht === false ? false : { ...(dht === true ? {} : dht) },
    ...off,
  };
}

function refuse(prefix: string, options: unknown, uncarried: Readonly<Record<string, string>>): void {
  if (typeof options !== 'object' || options === null) return;
  for (const [name, reason] of Object.entries(uncarried))
    if ((options as Record<string, unknown>)[name])
      throw new TypeError(`"${prefix}${name}" cannot be used in a tunnel: ${reason}`);
}
