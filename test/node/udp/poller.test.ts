import { afterAll, beforeAll, describe, expect } from 'vitest';
import { Poller } from '../../../src/node/udp/poller.ts';
import { libc } from '../../support/fast-udp.ts';
import { describeUdpPort } from '../../support/udp-port-conformance.ts';

describe.skipIf(!libc)('UDP port of a poller', () => {
  let poller: Poller;
  let turns: NodeJS.Timeout;
  beforeAll(() => {
    poller = new Poller(libc!);
    turns = setInterval(() => {
      poller.wait(0);
      poller.receive();
    }, 1);
  });
  afterAll(async () => {
    clearInterval(turns);
    await poller.close();
    expect([...poller.descriptors].filter((descriptor) => descriptor !== -1)).toEqual([]);
  });

  describeUdpPort((options, handlers) => poller.openUdpPort(options, handlers));
});
