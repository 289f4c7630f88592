/** Whether the fast port works here: datagrams of two sizes to itself on loopback and one back, by the very calls that a tunnel uses. */

import { ip } from '../../core/base/address.ts';
import type { Burst } from '../../core/base/burst.ts';
import type { UdpPortHandlers } from '../udp-port.ts';
import type { Libc } from './ffi.ts';
import { Poller } from './poller.ts';

const SIZES = [96, 96, 96, 50, 1001, 1001, 7];
const ANSWER = Uint8Array.of(1, 2, 3);
const PATIENCE_MS = 100;
const ATTEMPTS = 10;

/** What is wrong, or undefined. */
export function selfTest(libc: Libc): string | undefined {
  let poller: Poller | undefined;
  try {
    poller = new Poller(libc);
    return exchange(poller);
  } catch (error) {
    return (error as Error).message;
  } finally {
    void poller?.close();
  }
}

function exchange(poller: Poller): string | undefined {
  const datagrams = SIZES.map((size, i) => new Uint8Array(size).fill(i + 1));
  let expected = datagrams;
  let problem: string | undefined;
  const handlers = (then: (burst: Burst) => void): UdpPortHandlers => ({
    onBurst(burst) {
      for (let i = 0; i < burst.count; i++) {
        const [next, ...rest] = expected;
        expected = rest;
        if (!next || !sameBytes(burst.datagram(i), next)) problem ??= 'a datagram arrived changed';
      }
      then(burst);
    },
    onDrain() {},
    onError: (error) => (problem ??= error.message),
  });
  const server = poller.open(
    { bind: { address: ip('127.0.0.1'), port: 0 } },
    handlers((burst) => {
      if (expected.length > 0) return;
      expected = [ANSWER];
      server.transmit.append(ANSWER, burst.endpoints[0]);
      server.flush();
    }),
  );
  const client = poller.open(
    { remote: server.local },
    handlers(() => {}),
  );
  for (const datagram of datagrams) client.transmit.append(datagram, undefined);
  client.flush();
  for (let attempt = 0; attempt < ATTEMPTS && expected.length > 0 && problem === undefined; attempt++) {
    poller.wait(PATIENCE_MS);
    poller.receive();
  }
  return problem ?? (expected.length > 0 ? 'datagrams did not arrive on loopback' : undefined);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
