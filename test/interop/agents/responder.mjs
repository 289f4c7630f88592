/**
 * Our core as the server: a tunnel machine on an unconnected UDP port, echoing UDP and serving TCP inside. Commands: open, view,
 * listen.
 */
import { formatEndpoint, ip, parsePrefix } from '../../../dist/core/base/address.js';
import { TunnelMachine } from '../../../dist/core/tunnel/tunnel-machine.js';
import { systemClock } from '../../../dist/node/clock.js';
import { selectCrypto } from '../../../dist/node/crypto/select.js';
import { Driver } from '../../../dist/node/driver.js';
import { systemRandom } from '../../../dist/node/random.js';
import { SocketLayer } from '../../../dist/node/socket-layer.js';
import { openTimestampState } from '../../../dist/node/timestamp-state.js';
import { openDgramPort } from '../../../dist/node/udp-port.js';
import { serve } from './rpc.mjs';
import { listen } from './transfer.mjs';

let machine;
let sockets;
let handshakes = 0;

serve({
  async open({ privateKey, peerPublicKey, presharedKey, allowedIps, addresses, bind, endpoint, keepalive = 0 }) {
    const crypto = await selectCrypto();
    const key = (text) => new Uint8Array(Buffer.from(text, 'base64'));
    const timestamps = await openTimestampState(crypto.keyPair(key(privateKey)).publicKey, undefined);
    machine = new TunnelMachine(
      {
        privateKey: key(privateKey),
        peers: [
          {
            publicKey: key(peerPublicKey),
            ...(presharedKey ? { presharedKey: key(presharedKey) } : {}),
            allowedIps: allowedIps.map(parsePrefix),
            persistentKeepaliveSeconds: keepalive,
            roaming: true,
          },
        ],
        addresses: addresses.map(ip),
        dnsServers: [],
        mtu: 1420,
        crypto,
        random: systemRandom,
        timestamp: () => timestamps.next(),
      },
      systemClock.now(),
    );
    const engine = {
      onEvent: () => {},
      post: (command) => driver.mutate((now) => machine.handleCommand(command, now)),
    };
    const driver = new Driver({
      machine,
      clock: systemClock,
      onTurn: () => {
        for (let event = machine.nextTunnelEvent(); event; event = machine.nextTunnelEvent()) {
          if (event.kind === 'handshake') handshakes++;
        }
        for (let event = machine.nextOutput(); event; event = machine.nextOutput()) engine.onEvent(event);
      },
    });
    sockets = new SocketLayer(engine);
    const port = await openDgramPort(
      { bind: { address: ip(bind.host), port: bind.port } },
      { onBurst: (burst) => driver.handleBurst(burst), onDrain: () => driver.handleDrain(), onError: () => {} },
    );
    driver.attach(port);
    if (endpoint) {
      driver.mutate((now) =>
        machine.setEndpoint(machine.peers[0], { address: ip(endpoint.host), port: endpoint.port }, now),
      );
    }
  },
  view() {
    const [peer] = machine.peers;
    return {
      endpoint: peer.endpoint ? formatEndpoint(peer.endpoint) : null,
      handshakes,
      drops: machine.device.drops.toJSON(),
    };
  },
  async listen(options) {
    return { port: (await listen(sockets.net, options)).port };
  },
});
