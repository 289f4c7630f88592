/**
 * The check at start. Each place in WebTorrent that opens a socket is called once over a host that only takes notes; a place that
 * leaves no note would have opened a socket elsewhere, so the client is refused.
 */

import { EventEmitter } from 'node:events';
import { SluiceError } from '../core/base/errors.ts';
import { isIP } from '../node/is-ip.ts';
import type { BundleParts } from './bundle.ts';
import type { BundleHost } from './bundle-host.ts';
import type { WebTorrentClient } from './types.ts';

export interface Probe {
  readonly host: BundleHost;
  /** What was asked for, in order: `net.connect 192.0.2.1:6881`. */
  readonly notes: string[];
}

/** A host that opens nothing. */
export function probeHost(): Probe {
  const notes: string[] = [];
  const emitter = (methods: object): never => Object.assign(new EventEmitter(), methods) as never;
  const listen = (port: number): void => void notes.push(`listen ${port}`);
  const host: BundleHost = {
    net: {
      connect: ({ host: address, port }) => {
        notes.push(`net.connect ${address}:${port}`);
        return emitter({});
      },
      createServer: () => {
        notes.push('net.createServer');
        return emitter({ listen });
      },
    },
    dgram: {
      createSocket: () => {
        notes.push('dgram.createSocket');
        const send = (_bytes: unknown, _offset: number, _length: number, port: number, name: string): void =>
          void notes.push(`dgram.send ${name}:${port}`);
        return emitter({ send, close: () => {} });
      },
    },
    dns: { lookup: (name) => void notes.push(`dns.lookup ${name}`) },
    http: {
      createServer: () => {
        notes.push('http.createServer');
        return emitter({});
      },
    },
    fetch: (url) => {
      notes.push(`fetch ${String(url).replace(/\?.*/, '')}`);
      return Promise.reject(new Error('only a check'));
    },
    isIP,
  };
  return { host, notes };
}

const ADDRESS = '192.0.2.1'; // TEST-NET-1: nobody is there (RFC 5737)
const NAME = 'check.invalid'; // RFC 2606

type Loose = Record<string, (...args: unknown[]) => unknown>;
type LooseClass = (new (...args: unknown[]) => Loose) & { readonly prototype: Loose };

/** What is called, and what must have been noted after it. Own fields stand in for the rest of the object. */
const CALLS: readonly { readonly what: string; run(parts: BundleParts): unknown; readonly notes: readonly string[] }[] =
  [
    {
      what: 'the listener for peers',
      run: ({ ConnPool }) => new (ConnPool as unknown as LooseClass)({ torrentPort: 6881 }),
      notes: ['net.createServer', 'listen 6881'],
    },
    { what: 'dialling a peer', run: dialPeer, notes: [`net.connect ${ADDRESS}:6881`] },
    { what: 'the DHT', run: askDht, notes: ['dgram.createSocket', `dns.lookup ${NAME}`, `dgram.send ${ADDRESS}:6881`] },
    { what: 'a UDP tracker', run: askUdpTracker, notes: ['dgram.createSocket', `dgram.send ${NAME}:6969`] },
    {
      what: 'an HTTP tracker',
      run: ({ HttpTracker }) =>
        new (HttpTracker as unknown as LooseClass)(trackerClient(), `http://${NAME}/announce`)['announce']!({
          left: 0,
        }),
      notes: [`fetch http://${NAME}/announce`],
    },
    {
      what: 'a web seed',
      run: ({ WebConn }) => {
        const seed = { url: `http://${NAME}/seed`, _torrent: { files: [{}], pieceLength: 16_384 } };
        return (WebConn as unknown as LooseClass).prototype['httpRequest']!.call(seed, 0, 0, 16_384, () => {});
      },
      notes: [`fetch http://${NAME}/seed`],
    },
    {
      what: 'a torrent behind an URL',
      run: ({ parseRemoteTorrent }) =>
        new Promise((resolve) => parseRemoteTorrent(`http://${NAME}/a.torrent`, resolve)),
      notes: [`fetch http://${NAME}/a.torrent`],
    },
    {
      what: 'the tracker server',
      run: ({ TrackerServer }) => new TrackerServer({ ws: false, stats: false }),
      notes: ['http.createServer', 'dgram.createSocket', 'dgram.createSocket'],
    },
  ];

/** Throws ERR_WEBTORRENT_SHAPE if a call leaves other notes than it must. */
export async function checkCalls(parts: BundleParts, { notes }: Probe): Promise<void> {
  const { WEBRTC_SUPPORT, UTP_SUPPORT } = parts.WebTorrent;
  if (WEBRTC_SUPPORT || UTP_SUPPORT) throw unlike('WebRTC and uTP', 'present', 'left out');
  for (const call of CALLS) {
    notes.length = 0;
    await call.run(parts);
    if (notes.join() !== call.notes.join())
      throw unlike(call.what, notes.join(', ') || 'nothing', call.notes.join(', '));
  }
}

/**
 * The same for a client in being: its listener and the socket of its DHT are among those `made` by the host, and nothing that
 * cannot be carried is switched on. Throws ERR_WEBTORRENT_SHAPE, after destroying the client.
 */
export function checkClient(client: WebTorrentClient, made: WeakSet<object>): void {
  const { utp, lsd, natTraversal, _connPool: pool, dht } = client as unknown as ClientInternals;
  const sockets = { listener: pool?.tcpServer, dht: dht ? dht._rpc?.socket?.socket : false };
  const foreign = Object.entries(sockets).filter(
    ([, socket]) => socket !== false && !(typeof socket === 'object' && made.has(socket)),
  );
  const faults = [
    ...foreign.map(([name]) => name),
    ...Object.entries({ utp, lsd, natTraversal }).flatMap(([name, on]) => (on ? [name] : [])),
  ];
  if (faults.length === 0) return;
  client.on('error', () => {});
  client.destroy();
  throw unlike('the client', `sockets of its own (${faults.join(', ')})`, 'none');
}

interface ClientInternals {
  readonly utp: boolean;
  readonly lsd: boolean;
  readonly natTraversal: unknown;
  readonly _connPool: { readonly tcpServer: object } | undefined;
  readonly dht: false | { readonly _rpc?: { readonly socket?: { readonly socket?: object } } };
}

function dialPeer({ Torrent }: BundleParts): void {
  const nothing = (): void => {};
  const peer = { addr: `${ADDRESS}:6881`, type: 'tcpOutgoing', startConnectTimeout: nothing };
  const client = { maxConns: 1, utp: false };
  const torrent = { client, _queue: [peer], _numConns: 0, _numPending: 0, _debug: nothing };
  (Torrent as unknown as LooseClass).prototype['_drain']!.call(torrent);
}

function askDht({ DhtSocket }: BundleParts): void {
  const socket = new (DhtSocket as unknown as LooseClass)({});
  const question = { q: 'ping', a: {} };
  socket['query']!({ host: NAME, port: 6881 }, question, () => {});
  socket['query']!({ host: ADDRESS, port: 6881 }, question, () => {});
  socket['destroy']!();
}

function askUdpTracker({ UdpTracker }: BundleParts): void {
  const tracker = new (UdpTracker as unknown as LooseClass)(trackerClient(), `udp://${NAME}:6969/announce`);
  tracker['announce']!({ event: 'started' });
  for (const cleanUp of [...(tracker['cleanupFns'] as unknown as (() => void)[])]) cleanUp();
}

const trackerClient = (): object => ({ _infoHashBinary: '', _peerIdBinary: '', _port: 6881, emit: () => {} });

function unlike(what: string, found: string, expected: string): SluiceError {
  return new SluiceError(
    'ERR_WEBTORRENT_SHAPE',
    `WebTorrent is not as expected: ${what} made ${found} instead of ${expected}.`,
  );
}
