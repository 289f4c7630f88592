import { describe, expect, it } from 'vitest';
import { fromBase64 } from '../../../src/core/base/bytes.ts';
import { SluiceError } from '../../../src/core/base/errors.ts';
import { parseWireGuardConfig } from '../../../src/core/tunnel/wireguard-config.ts';

const PRIVATE = 'GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';
const PUBLIC = 'lWjkq0pQZ7v0dI3tY2nZ5x8cX1mJr6sK4uFhPpTgWEY=';
const OTHER = 'Yl4ePq3oGx2w7NnB9aZcVbK5tR8uIoP6sDfGhJkLzXM=';

const VALID = `[Interface]
PrivateKey = ${PRIVATE}
Address = 10.2.0.2/32
DNS = 10.2.0.1
MTU = 1420
[Peer]
PublicKey = ${PUBLIC}
AllowedIPs = 0.0.0.0/0
Endpoint = 198.51.100.2:51820
`;

const errorOf = (
  text: string,
  options: Parameters<typeof parseWireGuardConfig>[1] = { file: 'wg.conf' },
): SluiceError => {
  try {
    parseWireGuardConfig(text, options);
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error('expected an error');
};

/** The valid file with one line replaced; an empty replacement removes the line. */
const withLine = (start: string, line: string): string => {
  const lines = VALID.split('\n');
  const index = lines.findIndex((candidate) => candidate.startsWith(start));
  lines.splice(index, 1, ...(line === '' ? [] : line.split('\n')));
  return lines.join('\n');
};

/** What is wrong · the file · where · code · words of the message or hint. */
const CASES: readonly (readonly [string, string, number, string, RegExp])[] = [
  // Sections
  ['nothing at all', '', 1, 'ERR_CONFIG_SYNTAX', /empty/],
  ['blank lines only', '\n \n', 1, 'ERR_CONFIG_SYNTAX', /empty/],
  ['no [Interface]', `[Peer]\nPublicKey = ${PUBLIC}`, 1, 'ERR_CONFIG_SYNTAX', /no \[Interface\] section/],
  ['no [Peer]', VALID.split('[Peer]')[0]!, 1, 'ERR_CONFIG_SYNTAX', /no \[Peer\] section/],
  ['no section header', VALID.replace('[Interface]\n', ''), 1, 'ERR_CONFIG_SYNTAX', /begins with \[Interface\]/],
  ['two [Interface] sections', VALID + VALID, 10, 'ERR_CONFIG_SYNTAX', /second \[Interface\] section.*line 1/],
  [
    'a mistyped section',
    VALID.replace('[Peer]', '[Peeer]'),
    6,
    'ERR_CONFIG_SYNTAX',
    /“Peeer”.*Did you mean \[Peer\]\?/,
  ],
  ['a foreign section', `${VALID}[Socks5]`, 10, 'ERR_CONFIG_SYNTAX', /“Socks5” is not a section/],
  ['an open bracket', VALID.replace('[Peer]', '[Peer'), 6, 'ERR_CONFIG_SYNTAX', /no closing bracket/],
  // Keys
  [
    'an unknown key',
    withLine('MTU', 'Adress = 10.2.0.2'),
    5,
    'ERR_CONFIG_SYNTAX',
    /“Adress” is not a key.*Did you mean Address\?/,
  ],
  [
    'a longer unknown key',
    withLine('Endpoint', 'PersistantKeepAlive = 25'),
    9,
    'ERR_CONFIG_SYNTAX',
    /“PersistantKeepAlive”.*Did you mean PersistentKeepalive\?/,
  ],
  [
    'a shortened key',
    withLine('Endpoint', 'Keepalive = 25'),
    9,
    'ERR_CONFIG_SYNTAX',
    /Did you mean PersistentKeepalive\?/,
  ],
  ['a key like no other', withLine('MTU', 'Colour = blue'), 5, 'ERR_CONFIG_SYNTAX', /Known here: PrivateKey, Address/],
  [
    'a key of the other section',
    withLine('MTU', 'Endpoint = a.example:1'),
    5,
    'ERR_CONFIG_SYNTAX',
    /belongs under \[Peer\]/,
  ],
  ['a key of AmneziaWG', withLine('MTU', 'Jc = 4'), 5, 'ERR_CONFIG_SYNTAX', /AmneziaWG/],
  ['a line without “=”', withLine('MTU', 'MTU 1420'), 5, 'ERR_CONFIG_SYNTAX', /Key = value/],
  ['a line that is a key alone', withLine('MTU', OTHER), 5, 'ERR_CONFIG_SYNTAX', /not a key of WireGuard/],
  [
    'a second MTU',
    withLine('MTU', 'MTU = 1420\nMTU = 1400'),
    6,
    'ERR_CONFIG_SYNTAX',
    /MTU stands a second time.*line 5/,
  ],
  [
    'a second PrivateKey',
    withLine('MTU', `PrivateKey = ${OTHER}`),
    5,
    'ERR_CONFIG_SYNTAX',
    /PrivateKey stands a second time/,
  ],
  // Key material
  ['no PrivateKey', withLine('PrivateKey', ''), 1, 'ERR_CONFIG_KEY', /no PrivateKey/],
  ['no PublicKey', withLine('PublicKey', ''), 6, 'ERR_CONFIG_KEY', /no PublicKey/],
  ['an empty PrivateKey', withLine('PrivateKey', 'PrivateKey ='), 2, 'ERR_CONFIG_KEY', /PrivateKey is empty/],
  [
    'the same key twice',
    withLine('PublicKey', `PublicKey = ${PRIVATE}`),
    7,
    'ERR_CONFIG_KEY',
    /PublicKey is the same as PrivateKey/,
  ],
  [
    'a key of 31 bytes',
    withLine('PublicKey', `PublicKey = ${'Qm'.repeat(20)}Qg==`),
    7,
    'ERR_CONFIG_KEY',
    /has 31 bytes instead of 32/,
  ],
  [
    'a cut key',
    withLine('PrivateKey', `PrivateKey = ${PRIVATE.slice(0, 38)}`),
    2,
    'ERR_CONFIG_KEY',
    /has 38 characters instead of 44/,
  ],
  [
    'a key without “=”',
    withLine('PrivateKey', `PrivateKey = ${PRIVATE.slice(0, 43)}`),
    2,
    'ERR_CONFIG_KEY',
    /lacks the “=”/,
  ],
  ['a key in quotes', withLine('PrivateKey', `PrivateKey = "${PRIVATE}"`), 2, 'ERR_CONFIG_KEY', /in quotes/],
  [
    'a key in hex',
    withLine('PrivateKey', `PrivateKey = ${'0123456789abcdef'.repeat(4)}`),
    2,
    'ERR_CONFIG_KEY',
    /hexadecimal/,
  ],
  [
    'a key in URL base64',
    withLine('PrivateKey', `PrivateKey = ${PRIVATE.replace('/', '_')}`),
    2,
    'ERR_CONFIG_KEY',
    /URL form/,
  ],
  [
    'a key that is not base64',
    withLine('PrivateKey', `PrivateKey = ${PRIVATE.replace('/', '!')}`),
    2,
    'ERR_CONFIG_KEY',
    /do not occur in base64/,
  ],
  [
    'a mistyped last character',
    withLine('PrivateKey', `PrivateKey = ${PRIVATE.replace('M=', 'N=')}`),
    2,
    'ERR_CONFIG_KEY',
    /mistyped/,
  ],
  ['all zeros', withLine('PrivateKey', `PrivateKey = ${'A'.repeat(43)}=`), 2, 'ERR_CONFIG_KEY', /placeholder/],
  ...[
    'YOUR_PRIVATE_KEY',
    '<your private key>',
    '<key>',
    '{{ private_key }}',
    '$WG_PRIVATE_KEY',
    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=',
    '***',
    '(hidden)',
    'changeme',
    'none',
    'abcdefghijklmnopqrstuvwxyzYOURKEYHERE=',
  ].map(
    (text) =>
      [
        `the placeholder ${text}`,
        withLine('PrivateKey', `PrivateKey = ${text}`),
        2,
        'ERR_CONFIG_KEY',
        /placeholder/,
      ] as const,
  ),
  [
    'a placeholder PresharedKey',
    `${VALID}PresharedKey = <psk>`,
    10,
    'ERR_CONFIG_KEY',
    /PresharedKey is a placeholder.*remove the line/,
  ],
  ['a PresharedKey equal to PublicKey', `${VALID}PresharedKey = ${PUBLIC}`, 10, 'ERR_CONFIG_KEY', /same as PublicKey/],
  [
    'a PresharedKey equal to PrivateKey',
    `${VALID}PresharedKey = ${PRIVATE}`,
    10,
    'ERR_CONFIG_KEY',
    /same as PrivateKey/,
  ],
  [
    'two peers with one key',
    `${VALID}[Peer]\nPublicKey = ${PUBLIC}\nAllowedIPs = ::/0`,
    11,
    'ERR_CONFIG_KEY',
    /same PublicKey as the one in line 6/,
  ],
  // Addresses
  ['no Address', withLine('Address', ''), 1, 'ERR_CONFIG_ADDRESS', /no Address/],
  ['an empty Address', withLine('Address', 'Address = '), 3, 'ERR_CONFIG_ADDRESS', /Address is empty/],
  [
    'a prefix length of 33',
    withLine('Address', 'Address = 10.2.0.2/33'),
    3,
    'ERR_CONFIG_ADDRESS',
    /Address: “10.2.0.2\/33”.*0 to 32/,
  ],
  ['a prefix length of 129', withLine('Address', 'Address = fd00::2/129'), 3, 'ERR_CONFIG_ADDRESS', /0 to 128/],
  ['a missing prefix length', withLine('Address', 'Address = 10.2.0.2/'), 3, 'ERR_CONFIG_ADDRESS', /no valid length/],
  [
    'a netmask',
    withLine('Address', 'Address = 10.2.0.2/255.255.255.0'),
    3,
    'ERR_CONFIG_ADDRESS',
    /netmask; expected \/24/,
  ],
  ['an octet of 256', withLine('Address', 'Address = 10.2.0.256/32'), 3, 'ERR_CONFIG_ADDRESS', /no valid IP address/],
  ['a host name as Address', withLine('Address', 'Address = host.example'), 3, 'ERR_CONFIG_ADDRESS', /“host.example”/],
  ['no AllowedIPs', withLine('AllowedIPs', ''), 6, 'ERR_CONFIG_ADDRESS', /no AllowedIPs.*0\.0\.0\.0\/0, ::\/0/],
  ['empty AllowedIPs', withLine('AllowedIPs', 'AllowedIPs = ,'), 8, 'ERR_CONFIG_ADDRESS', /AllowedIPs is empty/],
  [
    'bad AllowedIPs',
    withLine('AllowedIPs', 'AllowedIPs = 0.0.0.0/0, all'),
    8,
    'ERR_CONFIG_ADDRESS',
    /AllowedIPs: “all”/,
  ],
  // Endpoint
  ['no Endpoint', withLine('Endpoint', ''), 6, 'ERR_CONFIG_ENDPOINT', /no Endpoint/],
  ['an empty Endpoint', withLine('Endpoint', 'Endpoint ='), 9, 'ERR_CONFIG_ENDPOINT', /is empty/],
  [
    'an Endpoint without port',
    withLine('Endpoint', 'Endpoint = vpn.example.com'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /“vpn.example.com” has no port/,
  ],
  [
    'a bracketed Endpoint without port',
    withLine('Endpoint', 'Endpoint = [2001:db8::2]'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /has no port/,
  ],
  [
    'an IPv6 Endpoint without brackets',
    withLine('Endpoint', 'Endpoint = 2001:db8::2'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /needs brackets.*\[2001:db8::2\]:51820/,
  ],
  ['a port of 0', withLine('Endpoint', 'Endpoint = 198.51.100.2:0'), 9, 'ERR_CONFIG_ENDPOINT', /1 to 65535/],
  ['a port of 65536', withLine('Endpoint', 'Endpoint = 198.51.100.2:65536'), 9, 'ERR_CONFIG_ENDPOINT', /1 to 65535/],
  ['a port in letters', withLine('Endpoint', 'Endpoint = 198.51.100.2:wg'), 9, 'ERR_CONFIG_ENDPOINT', /1 to 65535/],
  [
    'a bad IPv4 Endpoint',
    withLine('Endpoint', 'Endpoint = 198.51.100.256:51820'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /no valid address or host name/,
  ],
  [
    'IPv4 in brackets',
    withLine('Endpoint', 'Endpoint = [198.51.100.2]:51820'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /no valid IPv6 address/,
  ],
  [
    'an IPv6 zone',
    withLine('Endpoint', 'Endpoint = [fe80::1%eth0]:51820'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /no valid IPv6 address/,
  ],
  [
    'a URL as Endpoint',
    withLine('Endpoint', 'Endpoint = https://vpn.example.com:443'),
    9,
    'ERR_CONFIG_ENDPOINT',
    /is a URL/,
  ],
  [
    'an underlined label too long',
    withLine('Endpoint', `Endpoint = ${'a'.repeat(64)}.example:1`),
    9,
    'ERR_CONFIG_ENDPOINT',
    /no valid address or host name/,
  ],
  // Other values
  [
    'an MTU in words',
    withLine('MTU', 'MTU = auto'),
    5,
    'ERR_CONFIG_VALUE',
    /“auto”; expected a whole number from 576 to 65535/,
  ],
  ['an MTU of 0', withLine('MTU', 'MTU = 0'), 5, 'ERR_CONFIG_VALUE', /576 to 65535/],
  [
    'an MTU too small for IPv6',
    withLine('Address', 'Address = fd00::2/128').replace('1420', '1279'),
    5,
    'ERR_CONFIG_VALUE',
    /IPv6 needs at least 1280/,
  ],
  ['an empty MTU', withLine('MTU', 'MTU ='), 5, 'ERR_CONFIG_VALUE', /MTU is empty/],
  ['a ListenPort of 65536', withLine('MTU', 'ListenPort = 65536'), 5, 'ERR_CONFIG_VALUE', /0 to 65535/],
  ['a negative PersistentKeepalive', `${VALID}PersistentKeepalive = -1`, 10, 'ERR_CONFIG_VALUE', /0 to 65535/],
  ['a PersistentKeepalive with a unit', `${VALID}PersistentKeepalive = 25s`, 10, 'ERR_CONFIG_VALUE', /“25s”/],
  [
    'a DNS server with a port',
    withLine('DNS', 'DNS = 10.2.0.1:53'),
    4,
    'ERR_CONFIG_VALUE',
    /neither an IP address nor a domain/,
  ],
  ['a mistyped DNS server', withLine('DNS', 'DNS = 10.2.0'), 4, 'ERR_CONFIG_VALUE', /“10.2.0” is neither/],
  // Something else
  ['a web page', '<!DOCTYPE html>\n<html><body>Sign in</body></html>', 1, 'ERR_CONFIG_SYNTAX', /web page.*signed out/],
  ['a fragment of a web page', '<div class="conf">[Interface]</div>', 1, 'ERR_CONFIG_SYNTAX', /web page/],
  ['a JSON object', `{"privateKey": "${PRIVATE}"}`, 1, 'ERR_CONFIG_SYNTAX', /JSON/],
  ['a JSON array', `[{"privateKey": "${PRIVATE}"}]`, 1, 'ERR_CONFIG_SYNTAX', /JSON/],
  [
    'an OpenVPN profile',
    'client\ndev tun\nremote vpn.example.com 1194',
    1,
    'ERR_CONFIG_SYNTAX',
    /OpenVPN.*Choose WireGuard/,
  ],
  ['UTF-16', '\ufffd\ufffd[\0I\0n\0', 1, 'ERR_CONFIG_SYNTAX', /UTF-16.*UTF-8/],
  ['a binary file', 'PK\x03\x04 and more\0\0\0', 1, 'ERR_CONFIG_SYNTAX', /binary/],
  ['a megabyte', '#'.repeat(1_000_001), 1, 'ERR_CONFIG_SYNTAX', /too long/],
];

describe('an error of a .conf (CONTRACT: exit 3, with file, line, what was expected)', () => {
  it('does not occur in the file that the cases below are made from', () => {
    expect(parseWireGuardConfig(VALID).peers).toHaveLength(1);
  });

  it.each(CASES)('names the place and the cure of: %s', (_, text, line, code, words) => {
    const error = errorOf(text);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(new RegExp(`^wg\\.conf:${line}: `));
    expect(`${error.message} ${error.hint}`).toMatch(words);
    expect(error.hint.length).toBeGreaterThan(10);
  });

  it('has a message of its own in every case', () => {
    const texts = CASES.map(([, text]) => errorOf(text).message);
    // Placeholders of one kind, and bounds of one kind, share a message by design; everything else is distinct.
    expect(new Set(texts).size).toBeGreaterThan(CASES.length * 0.75);
  });

  it.each(CASES)('never contains a key: %s', (_, text) => {
    const error = errorOf(text);
    const said = `${error.message} ${error.hint} ${error.stack} ${JSON.stringify(error)}`;
    for (const key of [PRIVATE, PUBLIC, OTHER])
      for (let at = 0; at + 12 <= 44; at++) expect(said).not.toContain(key.slice(at, at + 12));
  });

  it.each(['DNS', 'MTU', 'Address', 'Endpoint', 'AllowedIPs'])('never contains a key that stands at %s', (key) => {
    for (const secret of [
      PRIVATE,
      '+'.concat(OTHER.slice(1)),
      '/'.concat(OTHER.slice(1)),
      '0123456789abcdef'.repeat(4),
    ]) {
      const error = errorOf(withLine(key, `${key} = ${secret}`));
      expect(`${error.message} ${error.hint}`).not.toContain(secret.slice(4, 16));
    }
  });

  it('knows the server’s key that is really one’s own, when it can derive it', () => {
    const error = errorOf(VALID, { file: 'wg.conf', derivePublicKey: () => fromBase64(PUBLIC)! });
    expect(error.message).toMatch(/^wg\.conf:7: PublicKey is your own public key/);
  });

  it('names the line alone when the text has no file', () => {
    expect(errorOf(withLine('MTU', 'MTU = x'), {}).message).toMatch(/^line 5: /);
  });

  it('cannot write to a terminal through what it quotes', () => {
    const error = errorOf(withLine('MTU', 'MTU = \u001b[2J\u202e1'));
    for (const character of ['\u001b', '\u202e']) expect(error.message).not.toContain(character);
  });
});
