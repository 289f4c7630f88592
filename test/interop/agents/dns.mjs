/** A resolver over UDP that takes note of who asks for what. Commands: open, set, log. */
import dgram from 'node:dgram';
import { once } from 'node:events';
import { DnsZone } from '../../../dist/sandbox/dns-zone.js';
import { serve } from './rpc.mjs';

const zone = new DnsZone();
const log = [];

serve({
  async open({ addresses, names }) {
    for (const [name, of] of Object.entries(names)) zone.set(name, of);
    for (const address of addresses) {
      const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
      socket.on('message', (query, from) => {
        const before = zone.log.at(-1);
        const reply = zone.answer(query, 'udp');
        const asked = zone.log.at(-1);
        if (asked !== before) log.push({ name: asked.name.toLowerCase(), from: from.address, atMs: Date.now() });
        if (reply) socket.send(reply, from.port, from.address, () => {});
      });
      // The interface of a killed VPN server is gone for a while.
      socket.on('error', () => {});
      socket.bind(53, address);
      await once(socket, 'listening');
    }
  },
  set: ({ name, addresses, ttlSeconds }) => zone.set(name, addresses, ttlSeconds),
  log: () => log,
});
