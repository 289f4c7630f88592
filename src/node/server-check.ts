/** Finds out whether a server answers, beside the tunnel that runs: one handshake over a socket of its own, and no packet after it. */

import type { Endpoint } from '../core/base/address.ts';
import type { Crypto } from '../core/base/crypto.ts';
import { Device, type PeerOptions } from '../core/wireguard/device.ts';
import type { Clock } from './clock.ts';
import { Driver } from './driver.ts';
import { systemRandom } from './random.ts';
import type { OpenUdpPort } from './udp-port.ts';

export interface ServerCheckOptions {
  readonly privateKey: Uint8Array;
  readonly peer: Pick<PeerOptions, 'publicKey' | 'presharedKey'>;
  readonly endpoint: Endpoint;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly timestamp: () => Uint8Array | undefined;
  readonly openUdpPort: OpenUdpPort;
  readonly signal: AbortSignal;
}

/** Two initiations, and time for the answer to the second. */
const PATIENCE_MS = 9_000;

/** True after a handshake; false if none came in time, the port could not be opened or `signal` aborted. */
export async function serverAnswers(options: ServerCheckOptions): Promise<boolean> {
  const { privateKey, peer, endpoint, crypto, clock, timestamp, openUdpPort, signal } = options;
  const device = new Device({ privateKey, crypto, random: systemRandom, timestamp }, clock.now());
  let answer: (well: boolean) => void = () => {};
  const answered = new Promise<boolean>((resolve) => {
    answer = resolve;
  });
  const driver = new Driver({
    machine: {
      handleBurst: (burst, now) => device.handleBurst(burst, now, { handlePacket: () => {} }),
      handleTimeout: (now) => device.handleTimeout(now),
      nextTimeout: () => device.nextTimeout(),
      transmit: (out) => {
        while (!out.full) {
          const output = device.nextOutput();
          if (!output) return false;
          if (output.kind === 'handshake') answer(true);
          else if (output.kind === 'datagram') out.append(output.bytes, output.to);
        }
        return true;
      },
    },
    clock,
    onTurn: () => {},
  });
  const giveUp = (): void => answer(false);
  const timer = setTimeout(giveUp, PATIENCE_MS);
  signal.addEventListener('abort', giveUp);
  const port = await openUdpPort(
    { remote: endpoint },
    { onBurst: (burst) => driver.handleBurst(burst), onDrain: () => driver.handleDrain(), onError: giveUp },
  ).catch(giveUp);
  if (port) {
    driver.attach(port);
    driver.mutate((now) => device.initiate(device.addPeer({ ...peer, endpoint, allowedIps: [] }, now), now));
  }
  const well = await answered;
  clearTimeout(timer);
  signal.removeEventListener('abort', giveUp);
  driver.stop();
  device.close();
  await port?.close();
  return well;
}
