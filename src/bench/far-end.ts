/** The other end of a tunnel: what it is started with, and how a client finds it. */

import { toBase64 } from '../core/base/bytes.ts';
import { randomBytes } from '../core/base/random.ts';
import { selectCrypto } from '../node/crypto/select.ts';
import { systemRandom } from '../node/random.ts';

export interface FarEndOptions {
  /** Base64. */
  readonly privateKey: string;
  readonly clientPublicKey: string;
  /** Path of a socket that tells how many bytes were read. */
  readonly counter: string;
  /** Of all connections together; absent: as fast as it goes. */
  readonly mbitPerSecond?: number;
}

/** Inside the tunnel. It sends at one port and reads at the next. */
export const FAR_END = { host: '10.66.0.2', client: '10.66.0.1', port: 80, mtu: 1420 } as const;

/** What `far-end-program` is started with, at a path of a socket or folder of the caller's, and the `.conf` of its client. */
export async function planFarEnd(
  counter: string,
  mbitPerSecond?: number,
): Promise<{ readonly options: FarEndOptions; conf(udpPort: number): string }> {
  const crypto = await selectCrypto();
  const [mine, theirs] = [randomBytes(systemRandom, 32), randomBytes(systemRandom, 32)];
  const options = {
    privateKey: toBase64(theirs),
    clientPublicKey: toBase64(crypto.keyPair(mine).publicKey),
    counter,
    ...(mbitPerSecond === undefined ? {} : { mbitPerSecond }),
  };
  const conf = (udpPort: number): string =>
    [
      '[Interface]',
      `PrivateKey = ${toBase64(mine)}`,
      `Address = ${FAR_END.client}/32`,
      `MTU = ${FAR_END.mtu}`,
      '[Peer]',
      `PublicKey = ${toBase64(crypto.keyPair(theirs).publicKey)}`,
      'AllowedIPs = 0.0.0.0/0',
      `Endpoint = 127.0.0.1:${udpPort}`,
      '',
    ].join('\n');
  return { options, conf };
}
