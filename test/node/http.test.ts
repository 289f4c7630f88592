/** node:http and node:https with Node's own agents, and with the tunnel's over each engine. */

import http from 'node:http';
import https from 'node:https';
import { afterAll, beforeAll, describe } from 'vitest';
import { describeHttp, type HttpWorld } from '../support/http-conformance.ts';
import { loopbackWorld, type MakeWorld, nodeWorld, slow } from '../support/socket-world.ts';
import { virtualWorld } from '../support/virtual-world.ts';

const worlds: Record<string, MakeWorld> = {
  'node:net': nodeWorld,
  'tunnel.net over an engine in memory': loopbackWorld(),
  'tunnel.net over a slow seam': loopbackWorld(slow),
  'tunnel.net over two virtual hosts': virtualWorld(),
};

describe.each(Object.entries(worlds))('%s', (_name, make) => {
  let world: HttpWorld;
  beforeAll(async () => {
    const sockets = await make();
    const own = { httpAgent: new http.Agent({ keepAlive: true }), httpsAgent: new https.Agent({ keepAlive: true }) };
    const { httpAgent, httpsAgent } = sockets.layer ?? own;
    world = { sockets, httpAgent, httpsAgent };
  });
  afterAll(async () => {
    world.httpAgent.destroy();
    world.httpsAgent.destroy();
    await world.sockets.close();
  });
  describeHttp(() => world);
});
