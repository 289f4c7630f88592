/** What is put in the place of what while bundling, as data. Everything not named here is bundled as it is, or stops the build. */

import { fileURLToPath } from 'node:url';

const alias = (name) => fileURLToPath(new URL(`./alias/${name}`, import.meta.url));

/** Built-ins that open sockets: carried by what the factory is given. Which file may use what is in shapes.mjs. */
export const CARRIED_BUILTINS = {
  net: alias('net.js'),
  dgram: alias('dgram.js'),
  dns: alias('dns.js'),
  http: alias('http.js'),
};

/** Built-ins that open no socket: handed in as they are by src/torrent/builtins.ts. */
export const HARMLESS_BUILTINS = [
  'buffer',
  'crypto',
  'events',
  'fs',
  'os',
  'path',
  'querystring',
  'stream',
  'string_decoder',
  'tty',
  'util',
  'zlib',
];

/** Packages, by the name in the import. */
export const REPLACED_PACKAGES = {
  '@silentbot1/nat-api': alias('absent.js'),
  '@thaunknown/simple-peer/lite.js': alias('webrtc.js'),
  'bittorrent-lsd': alias('absent.js'),
  'cross-fetch-ponyfill': alias('fetch.js'),
  // Patches the embedder's own ReadableStream; Node needs no patch.
  'fast-readable-async-iterator': alias('absent.js'),
  'fs-native-extensions': alias('nothing.cjs'),
  socks: alias('absent.js'),
  'supports-color': alias('nothing.cjs'),
  ws: alias('ws.js'),
};

/** Single files, by package and path. */
export const REPLACED_FILES = {
  'bittorrent-tracker/lib/client/websocket-tracker.js': alias('websocket-tracker.js'),
  'webtorrent/lib/server.js': alias('streaming-server.js'),
  'webtorrent/lib/utp.cjs': alias('empty.cjs'),
};
