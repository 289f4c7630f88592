/** Stands for `ws` in the tracker server, which is only ever made with `ws: false`. */
export class WebSocketServer {
  constructor() {
    throw new Error('WebSocket trackers are left out: they only serve WebRTC peers');
  }
}
