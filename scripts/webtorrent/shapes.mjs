/**
 * The shapes that the packages must have for their every socket to be the tunnel's, as data, and the check. A package that looks
 * different stops the build: it may open a socket in a way that nobody has looked at.
 */
import { freeNames, globalMembers, membersUsed } from './syntax.mjs';

/** Versions whose sources were read. Another version needs a reader first, then a line here. */
export const COVERED_VERSIONS = {
  webtorrent: ['2.8.5', '3.0.21'],
  'bittorrent-dht': ['11.0.12'],
  'bittorrent-tracker': ['11.2.3'],
  'k-rpc-socket': ['1.11.1'],
  'load-ip-set': ['3.0.2'],
  'parse-torrent': ['11.0.24'],
  'torrent-discovery': ['11.0.21'],
  // 2.3 throws in arr2hex() of a string, so that WebTorrent 2.8.5 can neither add nor seed.
  'uint8-util': ['2.2.6'],
};

/** Every use of a module that opens sockets: file → module → the members it uses. Exactly these, no more and no fewer. */
export const SOCKET_USES = {
  'bittorrent-tracker/lib/client/http-tracker.js': { 'cross-fetch-ponyfill': ['default'] },
  'bittorrent-tracker/lib/client/udp-tracker.js': { dgram: ['createSocket'] },
  'bittorrent-tracker/server.js': { dgram: ['createSocket'], http: ['createServer'] },
  'k-rpc-socket/index.js': { dgram: ['createSocket'], dns: ['lookup'], net: ['isIP'] },
  'load-ip-set/index.js': { 'cross-fetch-ponyfill': ['default'] },
  'parse-torrent/index.js': { 'cross-fetch-ponyfill': ['default'] },
  'webtorrent/lib/conn-pool.js': { net: ['createServer'] },
  'webtorrent/lib/torrent.js': { 'cross-fetch-ponyfill': ['default'], net: ['connect'] },
  'webtorrent/lib/webconn.js': { 'cross-fetch-ponyfill': ['default'] },
};

const SOCKET_MODULES = ['net', 'dgram', 'dns', 'http', 'cross-fetch-ponyfill'];

/** Text that must be there, white space aside: what the surroundings of a socket rely on, or we do. */
export const MARKERS = {
  'bittorrent-tracker/client.js': [
    'const webrtcSupport = this._wrtc !== false && (!!this._wrtc || Peer.WEBRTC_SUPPORT)',
  ],
  'bittorrent-tracker/lib/client/http-tracker.js': [
    'res = await fetch(parsedUrl.toString(), {',
    'port: this.client._port',
  ],
  'bittorrent-tracker/lib/client/udp-tracker.js': [
    "socket = dgram.createSocket('udp4')",
    'socket.send(message, 0, message.length, port, hostname)',
  ],
  'bittorrent-tracker/server.js': [
    'this.http = http.createServer(isObject(opts.http) ? opts.http : undefined)',
    "type: 'udp6'",
    'if (this.http) this.http.listen(httpPort, httpHostname)',
  ],
  'k-rpc-socket/index.js': [
    "this.socket = opts.socket || dgram.createSocket('udp4')",
    'dns.lookup(peer.host, function (err, ip) {',
  ],
  'torrent-discovery/index.js': [
    "if (opts.lsd === false || typeof LSD !== 'function') {",
    'updatePort (port) { if (port === this._port) return',
    '_dhtAnnounce () { if (this._dhtAnnouncing) return',
  ],
  'webtorrent/index.js': [
    "if ((this.natUpnp || this.natPmp) && typeof NatAPI === 'function') {",
    'this.utp = WebTorrent.UTP_SUPPORT && opts.utp !== false',
    'this._connPool = new ConnPool(this)',
    'this.dht = new DHT(Object.assign({}, { nodeId: this.nodeId }, opts.dht))',
    'const address = this._connPool.tcpServer.address() if (address) { this.torrentPort = address.port',
    "this.emit('add', torrent)",
    'this._destroy(null, cb)',
    '? this._connPool.tcpServer.address()',
  ],
  'webtorrent/lib/conn-pool.js': [
    'this.tcpServer = net.createServer()',
    'this.tcpServer.listen(client.torrentPort, () => {',
    'ConnPool.UTP_SUPPORT = Object.keys(utp).length > 0',
  ],
  'webtorrent/lib/torrent.js': [
    'if (this.client.utp && peer.type === Peer.TYPE_UTP_OUTGOING) {',
    'peer.conn = net.connect(opts)',
    'port: this.client.torrentPort',
    'resume () { if (this.destroyed) return',
    "this.emit('infoHash', this.infoHash)",
    "this.emit('wire', wire, addr)",
  ],
  'webtorrent/lib/peer.js': ["const TYPE_TCP_OUTGOING = 'tcpOutgoing'"],
  'webtorrent/lib/webconn.js': ['const res = await fetch(url, {'],
};

/** Globals that reach nothing outside the process; for `process`, `global` and `globalThis` see below. */
const HARMLESS_GLOBALS = new Set(
  `AbortController AbortSignal Array ArrayBuffer BigInt Blob Boolean Buffer DataView Date Error Float32Array Float64Array
   Function Infinity Int16Array Int32Array Int8Array JSON Map Math NaN Number Object Promise Proxy RangeError ReadableStream
   Reflect RegExp Set String Symbol SyntaxError TextDecoder TextEncoder TypeError URL URLSearchParams Uint16Array Uint32Array
   Uint8Array WeakMap WeakRef WeakSet arguments atob btoa clearInterval clearTimeout console decodeURI decodeURIComponent encodeURI
   encodeURIComponent escape exports global globalThis isFinite isNaN module parseFloat parseInt performance process
   queueMicrotask require setImmediate setInterval setTimeout structuredClone undefined unescape`.split(/\s+/),
);

/** Globals of browsers and other engines that sources test for; inside the bundle they are undefined. */
export const ABSENT_GLOBALS = [
  'Bare',
  'FileList',
  'FileSystemFileHandle',
  'ServiceWorkerRegistration',
  'define',
  'document',
  'localStorage',
  'navigator',
  'self',
  'window',
];

/** Globals that open sockets or reach one; no file uses them, and inside the bundle they are undefined all the same. */
export const WITHHELD_GLOBALS = ['fetch', 'EventSource', 'WebSocket', 'WebAssembly', 'Worker', 'XMLHttpRequest'];

/** Inside the bundle these, but `Function`, are objects of our own with these members; `*` is the object as a whole. */
export const GLOBAL_OBJECT_MEMBERS = {
  Function: ['prototype'],
  process: '* browser cwd env emitWarning hrtime nextTick platform stderr type version __nwjs'.split(' '),
  global: ['*', 'WEBTORRENT_ANNOUNCE', 'process'],
  globalThis: ['*', 'FileSystemFileHandle', 'ReadableStream', 'WEBTORRENT_ANNOUNCE', 'WRTC', 'navigator'],
};

/** `versions`: package → version. Returns what is wrong, one sentence each. */
export function versionFaults(versions) {
  return Object.entries(COVERED_VERSIONS)
    .filter(([name, covered]) => !covered.includes(versions[name]))
    .map(
      ([name, covered]) => `${name} ${versions[name] ?? '(absent)'} is not covered: expected ${covered.join(' or ')}`,
    );
}

/** `sources`: file (package and path) → its text, of every bundled file. Returns what is wrong, one sentence each. */
export function shapeFaults(sources) {
  return [
    ...[...sources].flatMap(([file, source]) => [...socketFaults(file, source), ...globalFaults(file, source)]),
    ...Object.keys({ ...SOCKET_USES, ...MARKERS }).flatMap((file) =>
      sources.has(file) ? markerFaults(file, sources.get(file)) : [`${file} is not in the bundle`],
    ),
  ];
}

function socketFaults(file, source) {
  return SOCKET_MODULES.flatMap((module) => {
    const expected = SOCKET_USES[file]?.[module] ?? [];
    const used = membersUsed(source, module);
    if (used.join() === expected.join()) return [];
    return [`${file} uses [${used}] of ${module}: expected [${expected}]`];
  });
}

function globalFaults(file, source) {
  const unknown = freeNames(source).filter((name) => !HARMLESS_GLOBALS.has(name) && !ABSENT_GLOBALS.includes(name));
  const members = Object.entries(GLOBAL_OBJECT_MEMBERS).flatMap(([name, known]) =>
    globalMembers(source, name)
      .filter((member) => !known.includes(member))
      .map((member) => `${name}.${member}`),
  );
  return [...unknown, ...members].map((name) => `${file} uses the global ${name}, which is not known to be harmless`);
}

export function markerFaults(file, source) {
  const text = squeeze(source);
  return (MARKERS[file] ?? [])
    .filter((marker) => !text.includes(squeeze(marker)))
    .map((marker) => `${file} no longer contains: ${marker}`);
}

const squeeze = (text) => text.replace(/\s+/g, ' ');
