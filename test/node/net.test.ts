/** One set of tests for node:net itself and for the tunnel's sockets over each engine: Node is the specification. */

import { afterAll, beforeAll, describe } from 'vitest';
import { describeNet } from '../support/net-conformance.ts';
import { loopbackWorld, type MakeWorld, nodeWorld, type SocketWorld, slow } from '../support/socket-world.ts';

const worlds: Record<string, MakeWorld> = {
  'node:net': nodeWorld,
  'tunnel.net over an engine in memory': loopbackWorld(),
  'tunnel.net over a slow seam': loopbackWorld(slow),
};

describe.each(Object.entries(worlds))('%s', (_name, make) => {
  let world: SocketWorld;
  beforeAll(async () => {
    world = await make();
  });
  afterAll(() => world.close());
  describeNet(() => world);
});
