/** Stands for `@thaunknown/simple-peer`: WebRTC opens operating-system sockets from native code, so it does not exist here. */
export default class Peer {
  static WEBRTC_SUPPORT = false;

  constructor() {
    throw new Error('WebRTC cannot be carried by the tunnel');
  }
}
