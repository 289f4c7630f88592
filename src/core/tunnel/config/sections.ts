/** The settings of each section of a `.conf`, validated one by one. */

import type { Prefix } from '../../base/address.ts';
import { fault } from './fault.ts';
import { isNoPresharedKey, looksClamped, readKey } from './key-text.ts';
import { type Entry, items, type Key, type Section, single } from './lines.ts';
import type { ConfigWarning, WireGuardConfig, WireGuardPeerConfig } from './model.ts';
import {
  type InterfaceAddress,
  readAddress,
  readDns,
  readEndpoint,
  readInteger,
  readKeepaliveSeconds,
  readPrefix,
} from './values.ts';

export function readPrivateKey(own: Section, warnings: ConfigWarning[]): Uint8Array {
  const entry = single(own, 'PrivateKey');
  if (!entry)
    throw fault(
      'ERR_CONFIG_KEY',
      own.place,
      'there is no PrivateKey under [Interface]; expected one.',
      'Many providers show the private key only once: make a new configuration there, and paste it whole.',
    );
  const privateKey = readKey(entry);
  if (!looksClamped(privateKey))
    warnings.push({
      line: entry.place.line,
      message:
        'PrivateKey does not look like a private key made by WireGuard; if the tunnel does not come up, check that it is not a public key.',
    });
  return privateKey;
}

export function readAddresses(own: Section): readonly InterfaceAddress[] {
  const addresses = items(own, 'Address').map(readAddress);
  if (addresses.length > 0) return addresses;
  const place = single(own, 'Address')?.place;
  const what = place ? 'Address is empty' : 'there is no Address under [Interface]';
  throw fault(
    'ERR_CONFIG_ADDRESS',
    place ?? own.place,
    `${what}; expected the tunnel address that your provider gave you.`,
  );
}

export function readNames(own: Section, warnings: ConfigWarning[]): Pick<WireGuardConfig, 'dns' | 'searchDomains'> {
  const entries = items(own, 'DNS');
  const written = single(own, 'DNS');
  if (written && entries.length === 0)
    warnings.push({
      line: written.place.line,
      message: 'DNS is empty, so names cannot be resolved inside the tunnel.',
    });
  const values = entries.map(readDns);
  return {
    dns: values.filter((value) => typeof value !== 'string'),
    searchDomains: values.filter((value) => typeof value === 'string'),
  };
}

/** What fits into any datagram that an Ethernet carries; more is lowered, since it could not leave the host in one piece. */
const HIGHEST_MTU = 1500;
/** RFC 8200 §5. */
const LOWEST_MTU_IPV6 = 1280;
/** RFC 791 §3.2: every host takes as much. */
const LOWEST_MTU_IPV4 = 576;

export function readMtu(
  own: Section,
  addresses: readonly InterfaceAddress[],
  warnings: ConfigWarning[],
): number | undefined {
  const entry = single(own, 'MTU');
  if (!entry) return undefined;
  const mtu = readInteger(entry, LOWEST_MTU_IPV4, 65535);
  const { place } = entry;
  if (mtu < LOWEST_MTU_IPV6 && addresses.some(({ address }) => address.family === 6))
    throw fault(
      'ERR_CONFIG_VALUE',
      place,
      `MTU is ${mtu}, but IPv6 needs at least ${LOWEST_MTU_IPV6} and Address has an IPv6 address.`,
      `Raise MTU to ${LOWEST_MTU_IPV6}, or remove the IPv6 address.`,
    );
  if (mtu > HIGHEST_MTU) warnings.push({ line: place.line, message: `MTU ${mtu} is lowered to ${HIGHEST_MTU}.` });
  return Math.min(mtu, HIGHEST_MTU);
}

export function readPeer(section: Section, warnings: ConfigWarning[]): WireGuardPeerConfig {
  const publicKey = single(section, 'PublicKey');
  if (!publicKey)
    throw fault('ERR_CONFIG_KEY', section.place, 'there is no PublicKey under this [Peer]; expected the server’s key.');
  return {
    publicKey: readKey(publicKey),
    ...optional('presharedKey', readPresharedKey(section, warnings)),
    ...optional('endpoint', whenPresent(section, 'Endpoint', readEndpoint)),
    allowedIps: readAllowedIps(section),
    ...optional('persistentKeepaliveSeconds', whenPresent(section, 'PersistentKeepalive', readKeepaliveSeconds)),
    ...(section.comments.length > 0 ? { comments: section.comments } : {}),
  };
}

function readPresharedKey(section: Section, warnings: ConfigWarning[]): Uint8Array | undefined {
  const entry = single(section, 'PresharedKey');
  if (!entry || !isNoPresharedKey(entry.value)) return entry && readKey(entry);
  warnings.push({ line: entry.place.line, message: 'PresharedKey is all zero, which means none.' });
  return undefined;
}

function readAllowedIps(section: Section): readonly Prefix[] {
  const allowedIps = items(section, 'AllowedIPs').map(readPrefix);
  if (allowedIps.length > 0) return allowedIps;
  const place = single(section, 'AllowedIPs')?.place;
  throw fault(
    'ERR_CONFIG_ADDRESS',
    place ?? section.place,
    `${place ? 'AllowedIPs is empty' : 'there is no AllowedIPs under this [Peer]'}, so nothing could flow; expected networks.`,
    'For all traffic write: AllowedIPs = 0.0.0.0/0, ::/0',
  );
}

/** The value of a key that may be absent. */
export function whenPresent<T>(section: Section, key: Key, read: (entry: Entry) => T): T | undefined {
  const entry = single(section, key);
  return entry && read(entry);
}

/** `{ [key]: value }`, or nothing: an absent setting is an absent property. */
export function optional<K extends string, T>(key: K, value: T | undefined): { readonly [P in K]?: T } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: T };
}
