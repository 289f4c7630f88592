/** The addresses of this host's own interfaces. */

import { networkInterfaces } from 'node:os';
import { type IpAddress, parseIp } from '../core/base/address.ts';

export function hostAddresses(): IpAddress[] {
  const texts = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return texts.map(({ address }) => parseIp(address.replace(/%.*$/, ''))).filter((address) => address !== undefined);
}
