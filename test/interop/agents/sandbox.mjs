/**
 * The sandbox as a provider for a real WireGuard client, with one host: a greeting on TCP 80, an echo on UDP 7777. Commands: open,
 * dial (a connection from the host to the exit address), stats.
 */
import { once } from 'node:events';
import { Sandbox } from '../../../dist/sandbox/index.js';
import { serve } from './rpc.mjs';

let sandbox;
let host;

serve({
  async open({ address }) {
    sandbox = await Sandbox.start({ listen: { address, port: 51820 } });
    host = sandbox.addHost({ name: 'host.test' });
    const server = host.net.createServer((socket) => socket.end(`hello ${socket.remoteAddress}`)).listen(80);
    await once(server, 'listening');
    const echo = host.dgram.createSocket('udp4');
    echo.on('message', (bytes, { address, port }) => echo.send(bytes, port, address));
    echo.bind(7777);
    await once(echo, 'listening');
    return { conf: sandbox.addClient({ presharedKey: true }).conf, address: host.address };
  },
  async dial({ port }) {
    let text = '';
    for await (const chunk of host.net.connect({ host: sandbox.exitAddresses[0], port })) text += chunk;
    return text;
  },
  stats: () => sandbox.stats(),
});
