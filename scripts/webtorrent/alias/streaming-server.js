/** Stands for WebTorrent's streaming server, which listens on this host's own address and so lies outside the tunnel. */
class StreamingServer {
  constructor() {
    throw new Error('The streaming server listens outside the tunnel and is left out: read torrent files instead');
  }
}

export { StreamingServer as BrowserServer, StreamingServer as NodeServer };
