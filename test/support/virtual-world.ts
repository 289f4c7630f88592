/** The sockets over two real stacks and a name server on one wire in memory. */

import { ip } from '../../src/core/base/address.ts';
import { decodeMessage, encodeReply, RCODE_NAME_ERROR, TYPE_A } from '../../src/core/wire/dns.ts';
import type { EnginePort } from '../../src/node/engine.ts';
import { WebLayer } from '../../src/node/web-layer.ts';
import { type MakeWorld, tunnelWorld } from './socket-world.ts';
import { VirtualWire } from './virtual-engine.ts';

const CLIENT = '10.8.0.1';
const SERVER = '10.8.0.2';
const NAMES = '10.8.0.53';

export function virtualWorld(seam: (engine: EnginePort, index: number) => EnginePort = (engine) => engine): MakeWorld {
  return async () => {
    const wire = new VirtualWire();
    const client = new WebLayer(seam(wire.host([CLIENT, 'fd00:8::1'], [NAMES]), 0));
    const server = new WebLayer(seam(wire.host([SERVER, 'fd00:8::2'], [NAMES]), 1));
    const names = new WebLayer(wire.host([NAMES]));
    answer(names, { 'server.test': SERVER, 'other.test': SERVER });
    return tunnelWorld(client, server, CLIENT, SERVER, 32 << 20, () => wire.stop());
  };
}

/** A name server that knows A records. */
function answer({ dgram }: WebLayer, names: Readonly<Record<string, string>>): void {
  const socket = dgram.createSocket('udp4', (bytes, from) => {
    const query = decodeMessage(bytes);
    if (!query?.question) return;
    const { name, type } = query.question;
    const known = names[name];
    const answers =
      known && type === TYPE_A ? [{ kind: 'address', name, ttlSeconds: 60, address: ip(known) } as const] : [];
    const rcode = known ? 0 : RCODE_NAME_ERROR;
    socket.send(encodeReply({ id: query.id, question: query.question, rcode, answers }), from.port, from.address);
  });
  socket.bind(53);
}
