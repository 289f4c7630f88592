/** The endpoint's own name: the only one that this host's resolver is ever asked for (docs/security.md). */

import { lookup } from 'node:dns/promises';
import { type Endpoint, parseIp } from '../core/base/address.ts';
import { SluiceError } from '../core/base/errors.ts';

export interface EndpointName {
  /** A literal address or a host name. */
  readonly host: string;
  readonly port: number;
}

/** Every address the name has, in the resolver's order; a literal is its own answer. Throws `ERR_ENDPOINT_LOOKUP`. */
export async function resolveEndpoint({ host, port }: EndpointName): Promise<readonly Endpoint[]> {
  const literal = parseIp(host);
  if (literal) return [{ address: literal, port }];
  try {
    const answers = await lookup(host, { all: true });
    return answers.flatMap(({ address }) => {
      const parsed = parseIp(address);
      return parsed ? [{ address: parsed, port }] : [];
    });
  } catch (cause) {
    throw new SluiceError('ERR_ENDPOINT_LOOKUP', `The VPN server’s name ${host} could not be resolved.`, { cause });
  }
}
