/** The same tests as `net.test.ts`, over the real TCP of two virtual hosts. */

import { afterAll, beforeAll, describe } from 'vitest';
import { describeNet } from '../support/net-conformance.ts';
import { type MakeWorld, type SocketWorld, slow } from '../support/socket-world.ts';
import { virtualWorld } from '../support/virtual-world.ts';

const worlds: Record<string, MakeWorld> = {
  'tunnel.net over two virtual hosts': virtualWorld(),
  'tunnel.net over two virtual hosts behind a slow seam': virtualWorld(slow),
};

describe.each(Object.entries(worlds))('%s', (_name, make) => {
  let world: SocketWorld;
  beforeAll(async () => {
    world = await make();
  });
  afterAll(() => world.close());
  describeNet(() => world);
});
