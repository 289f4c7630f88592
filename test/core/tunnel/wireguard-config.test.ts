import { describe, expect, it } from 'vitest';
import { formatIp, formatPrefix } from '../../../src/core/base/address.ts';
import { fromBase64, toBase64 } from '../../../src/core/base/bytes.ts';
import { parseWireGuardConfig } from '../../../src/core/tunnel/wireguard-config.ts';

/** Made for these tests. The public keys belong to no private key here. */
const PRIVATE = 'GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';
const PUBLIC = 'lWjkq0pQZ7v0dI3tY2nZ5x8cX1mJr6sK4uFhPpTgWEY=';
const OTHER = 'Yl4ePq3oGx2w7NnB9aZcVbK5tR8uIoP6sDfGhJkLzXM=';
const PRESHARED = 'q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=';

const conf = (own: string, peer: string): string => `[Interface]\n${own}\n[Peer]\n${peer}\n`;
const OWN = `PrivateKey = ${PRIVATE}\nAddress = 10.2.0.2/32`;
const PEER = `PublicKey = ${PUBLIC}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 198.51.100.2:51820`;

describe('a provider’s .conf (CONTRACT, promise F2)', () => {
  it('is read whole: a Proton file, with the comments that carry its settings', () => {
    const config = parseWireGuardConfig(
      `[Interface]
# Key for torrents
# Bouncing = 3
# NAT-PMP (Port Forwarding) = on
PrivateKey = ${PRIVATE}
Address = 10.2.0.2/32, 2a07:b944::2:2/128
DNS = 10.2.0.1, 2a07:b944::2:1

[Peer]
# NL#12
PublicKey = ${PUBLIC}
AllowedIPs = 0.0.0.0/0, ::/0
Endpoint = 198.51.100.2:51820
`,
    );
    expect(toBase64(config.privateKey)).toBe(PRIVATE);
    expect(config.addresses.map(formatPrefix)).toEqual(['10.2.0.2/32', '2a07:b944::2:2/128']);
    expect(config.dns.map(formatIp)).toEqual(['10.2.0.1', '2a07:b944::2:1']);
    expect(config.comments).toEqual(['Key for torrents', 'Bouncing = 3', 'NAT-PMP (Port Forwarding) = on']);
    expect(config.peers).toHaveLength(1);
    const [peer] = config.peers;
    expect(toBase64(peer!.publicKey)).toBe(PUBLIC);
    expect(peer!.allowedIps.map(formatPrefix)).toEqual(['0.0.0.0/0', '::/0']);
    expect(peer!.endpoint).toEqual({ host: '198.51.100.2', port: 51820 });
    expect(peer!.comments).toEqual(['NL#12']);
    expect(config.warnings).toEqual([]);
    expect(config).not.toHaveProperty('mtu');
    expect(peer).not.toHaveProperty('persistentKeepaliveSeconds');
  });

  it('may use every key of wg and wg-quick', () => {
    const config = parseWireGuardConfig(
      conf(
        `${OWN}\nDNS = 10.2.0.1, lan.example\nMTU = 1320\nListenPort = 0\nTable = off\nFwMark = 0xca6c\nSaveConfig = true
PreUp = a\nPostUp = b\nPostUp = c\nPreDown = d\nPostDown = e`,
        `${PEER}\nPresharedKey = ${PRESHARED}\nPersistentKeepalive = 25`,
      ),
    );
    expect(config).toMatchObject({ mtu: 1320, listenPort: 0, searchDomains: ['lan.example'] });
    expect(config.peers[0]).toMatchObject({ presharedKey: fromBase64(PRESHARED), persistentKeepaliveSeconds: 25 });
  });

  it.each(['PreUp', 'PostUp', 'PreDown', 'PostDown', 'Table', 'FwMark', 'SaveConfig'])(
    'gets one warning per line of %s, which is never acted on nor shown',
    (key) => {
      const config = parseWireGuardConfig(conf(`${OWN}\n${key} = rm -rf /\n${key} = curl evil.example`, PEER));
      expect(config.warnings.map(({ line }) => line)).toEqual([4, 5]);
      for (const { message } of config.warnings) {
        expect(message).toContain(`${key} is ignored`);
        expect(message).not.toMatch(/rm|curl/);
      }
      expect(JSON.stringify(config)).not.toContain('curl');
    },
  );

  it.each([
    [
      'lower case',
      conf(OWN, PEER).toLowerCase().replace(PRIVATE.toLowerCase(), PRIVATE).replace(PUBLIC.toLowerCase(), PUBLIC),
    ],
    ['upper-case names', conf(OWN, PEER).replace(/^\[?\w+/gm, (name) => name.toUpperCase())],
    ['CRLF', conf(OWN, PEER).replaceAll('\n', '\r\n')],
    ['lone CR', conf(OWN, PEER).replaceAll('\n', '\r')],
    ['a BOM', `\ufeff${conf(OWN, PEER)}`],
    ['no blanks', conf(OWN, PEER).replaceAll(' ', '')],
    ['many blanks', conf(OWN, PEER).replace(/ = /g, '\t =   ').replace(/$/gm, '  \t')],
    ['comments behind values', conf(OWN, PEER).replace(/$/gm, ' # a comment')],
    ['semicolon comments', `; made by a program\n${conf(OWN, PEER)}`],
    ['characters without width from a web page', conf(OWN, PEER).replaceAll('=', '\u200b=\u2060')],
    ['no final newline', conf(OWN, PEER).trimEnd()],
    ['the peer first', `[Peer]\n${PEER}\n[Interface]\n${OWN}`],
  ])('may have %s', (_, text) => {
    const config = parseWireGuardConfig(text);
    expect(toBase64(config.privateKey)).toBe(PRIVATE);
    expect(config.peers[0]!.endpoint).toEqual({ host: '198.51.100.2', port: 51820 });
    expect(config.addresses.map(formatPrefix)).toEqual(['10.2.0.2/32']);
  });

  it('may repeat Address, DNS and AllowedIPs, join them by commas, or both', () => {
    const config = parseWireGuardConfig(
      conf(
        `${OWN}, 10.2.0.3/24\nAddress = fd00::2/128\nDNS = 10.2.0.1\nDNS = fd00::1,example.com`,
        `${PEER.replace('0.0.0.0/0', '0.0.0.0/0, 10.0.0.0/8,')}\nAllowedIPs = ::/0`,
      ),
    );
    expect(config.addresses.map(formatPrefix)).toEqual(['10.2.0.2/32', '10.2.0.3/24', 'fd00::2/128']);
    expect(config.dns.map(formatIp)).toEqual(['10.2.0.1', 'fd00::1']);
    expect(config.searchDomains).toEqual(['example.com']);
    expect(config.peers[0]!.allowedIps.map(formatPrefix)).toEqual(['0.0.0.0/0', '10.0.0.0/8', '::/0']);
  });

  it.each([
    ['10.2.0.2', '10.2.0.2/32'],
    ['fd00::2', 'fd00::2/128'],
    ['10.14.0.2/16', '10.14.0.2/16'],
  ])('may have the Address %s, whose host bits are kept (F4)', (written, read) => {
    const config = parseWireGuardConfig(conf(`PrivateKey = ${PRIVATE}\nAddress = ${written}`, PEER));
    expect(config.addresses.map(formatPrefix)).toEqual([read]);
  });

  it('has the host bits of AllowedIPs cleared, as wg does', () => {
    const config = parseWireGuardConfig(conf(OWN, PEER.replace('0.0.0.0/0', '10.9.8.7/8')));
    expect(config.peers[0]!.allowedIps.map(formatPrefix)).toEqual(['10.0.0.0/8']);
  });

  it.each([
    ['198.51.100.2:1', { host: '198.51.100.2', port: 1 }],
    ['[2001:db8::2]:51820', { host: '2001:db8::2', port: 51820 }],
    ['nl-12.vpn.example.com:65535', { host: 'nl-12.vpn.example.com', port: 65535 }],
  ])('may have the Endpoint %s (F3)', (written, read) => {
    const config = parseWireGuardConfig(conf(OWN, PEER.replace('198.51.100.2:51820', written)));
    expect(config.peers[0]!.endpoint).toEqual(read);
  });

  it('may have several peers, some without endpoint, which is warned of', () => {
    const second = `PublicKey = ${OTHER}\nAllowedIPs = 172.16.0.36/32`;
    const config = parseWireGuardConfig(`${conf(OWN, PEER)}[Peer]\n${second}\n`);
    expect(config.peers.map(({ publicKey }) => toBase64(publicKey))).toEqual([PUBLIC, OTHER]);
    expect(config.peers[1]).not.toHaveProperty('endpoint');
    expect(config.warnings).toEqual([{ line: 8, message: expect.stringContaining('no Endpoint') }]);
  });

  it.each([
    ['off', 0],
    ['0', 0],
    ['65535', 65535],
  ])('may have PersistentKeepalive = %s', (written, read) => {
    const config = parseWireGuardConfig(conf(OWN, `${PEER}\nPersistentKeepalive = ${written}`));
    expect(config.peers[0]!.persistentKeepaliveSeconds).toBe(read);
  });

  it('has an all-zero PresharedKey read as none (whitepaper §5.4.2)', () => {
    const config = parseWireGuardConfig(conf(OWN, `${PEER}\nPresharedKey = ${'A'.repeat(43)}=`));
    expect(config.peers[0]).not.toHaveProperty('presharedKey');
    expect(config.warnings).toHaveLength(1);
  });

  it('has keys in its comments removed, because comments are displayed (F28)', () => {
    const config = parseWireGuardConfig(conf(`# old PrivateKey = ${OTHER}\n${OWN}`, `# ${PRESHARED}\n${PEER}`));
    expect(config.comments).toEqual(['old PrivateKey = (key removed)']);
    expect(config.peers[0]!.comments).toEqual(['(key removed)']);
  });

  it('gets a warning for a private key that is not clamped, since it may be a public one', () => {
    const { warnings } = parseWireGuardConfig(conf(OWN.replace(PRIVATE, OTHER), PEER));
    expect(warnings).toEqual([{ line: 2, message: expect.stringContaining('public key') }]);
  });

  it('gets a warning for an MTU that no datagram can carry, which is lowered', () => {
    const config = parseWireGuardConfig(conf(`${OWN}\nMTU = 8920`, PEER));
    expect(config.mtu).toBe(1500);
    expect(config.warnings).toHaveLength(1);
  });
});
