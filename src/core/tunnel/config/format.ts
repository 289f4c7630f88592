/** A configuration back to text, in the form that `wg` and wg-quick read. */

import { formatIp, formatPrefix } from '../../base/address.ts';
import { toBase64 } from '../../base/bytes.ts';
import type { Key } from './lines.ts';
import type { WireGuardConfig } from './model.ts';
import type { EndpointText } from './values.ts';

/** The text of a configuration, private key included: for files of mode 0600 and standard output on request, never for logs. */
export function formatWireGuardConfig(config: Omit<WireGuardConfig, 'warnings'>): string {
  const lines = ['[Interface]', ...config.comments.map((comment) => `# ${comment}`)];
  const add = (key: Key, value: string | number | undefined): void => {
    if (value !== undefined && value !== '') lines.push(`${key} = ${value}`);
  };
  add('PrivateKey', toBase64(config.privateKey));
  add('Address', config.addresses.map(formatPrefix).join(', '));
  add('DNS', [...config.dns.map(formatIp), ...config.searchDomains].join(', '));
  add('MTU', config.mtu);
  add('ListenPort', config.listenPort);
  for (const peer of config.peers) {
    lines.push('', '[Peer]', ...(peer.comments ?? []).map((comment) => `# ${comment}`));
    add('PublicKey', toBase64(peer.publicKey));
    add('PresharedKey', peer.presharedKey && toBase64(peer.presharedKey));
    add('AllowedIPs', peer.allowedIps.map(formatPrefix).join(', '));
    add('Endpoint', peer.endpoint && formatEndpointText(peer.endpoint));
    add('PersistentKeepalive', peer.persistentKeepaliveSeconds);
  }
  return `${lines.join('\n')}\n`;
}

function formatEndpointText({ host, port }: EndpointText): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
