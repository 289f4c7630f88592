/** What one instance of the bundle offers. `webtorrent:` names a file below the folder that holds the packages. */

// For the self-check at start, which calls each place that opens a socket.
export { default as HttpTracker } from 'webtorrent:bittorrent-tracker/lib/client/http-tracker.js';
export { default as UdpTracker } from 'webtorrent:bittorrent-tracker/lib/client/udp-tracker.js';
export { default as TrackerServer } from 'webtorrent:bittorrent-tracker/server.js';
export { default as DhtSocket } from 'webtorrent:k-rpc-socket/index.js';
export { default as ConnPool } from 'webtorrent:webtorrent/lib/conn-pool.js';
export { default as Torrent } from 'webtorrent:webtorrent/lib/torrent.js';
export { default as WebConn } from 'webtorrent:webtorrent/lib/webconn.js';
export { default as createTorrent } from 'create-torrent';
export { default as MemoryStore } from 'memory-chunk-store';
export { default as parseTorrent, remote as parseRemoteTorrent, toMagnetURI, toTorrentFile } from 'parse-torrent';
export { default as WebTorrent } from 'webtorrent';
