/** Stands for the WebSocket tracker, which only ever yields WebRTC peers. */
export default class WebSocketTracker {
  constructor() {
    throw new Error('WebSocket trackers only yield WebRTC peers, which cannot be carried by the tunnel');
  }
}
