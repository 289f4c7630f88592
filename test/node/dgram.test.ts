/** One set of tests for node:dgram itself and for the tunnel's sockets over each engine: Node is the specification. */

import { afterAll, beforeAll, describe } from 'vitest';
import { describeDgram } from '../support/dgram-conformance.ts';
import { loopbackWorld, type MakeWorld, nodeWorld, type SocketWorld, slow } from '../support/socket-world.ts';
import { virtualWorld } from '../support/virtual-world.ts';

const worlds: Record<string, MakeWorld> = {
  'node:dgram': nodeWorld,
  'tunnel.dgram over an engine in memory': loopbackWorld(),
  'tunnel.dgram over a slow seam': loopbackWorld(slow),
  'tunnel.dgram over two virtual hosts': virtualWorld(),
  'tunnel.dgram over two virtual hosts behind a slow seam': virtualWorld(slow),
};

describe.each(Object.entries(worlds))('%s', (_name, make) => {
  let world: SocketWorld;
  beforeAll(async () => {
    world = await make();
  });
  afterAll(() => world.close());
  describeDgram(() => world);
});
