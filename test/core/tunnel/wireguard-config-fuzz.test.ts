import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ipFromBytes, prefix } from '../../../src/core/base/address.ts';
import { SluiceError } from '../../../src/core/base/errors.ts';
import {
  formatWireGuardConfig,
  parseWireGuardConfig,
  type WireGuardConfig,
} from '../../../src/core/tunnel/wireguard-config.ts';

const DEEP = process.env['SLUICE_DEEP'] === '1';
const RUNS = DEEP ? 100_000 : 3_000;
const TIMEOUT_MS = DEEP ? 600_000 : 30_000;

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length }).filter((value) => new Set(value).size > 4);
const address = fc.oneof(bytesOf(4), bytesOf(16)).map(ipFromBytes);
const interfaceAddress = address.chain((value) =>
  fc.integer({ min: 0, max: value.bytes.length * 8 }).map((bits) => ({ address: value, bits })),
);
const network = interfaceAddress.map(({ address: value, bits }) => prefix(value, bits));
const hostName = fc
  .array(fc.stringMatching(/^[a-z][a-z0-9]{0,12}$/), { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'));
const endpoint = fc.record({
  host: fc.oneof(hostName, fc.ipV4(), fc.constantFrom('2001:db8::2', '::1', 'fe80::1')),
  port: fc.integer({ min: 1, max: 65535 }),
});
const comment = fc.stringMatching(/^[A-Za-z0-9=(.]([A-Za-z0-9 =()#.-]{0,28}[A-Za-z0-9)])?$/);

const peer = fc.record(
  {
    publicKey: bytes(32),
    presharedKey: bytes(32),
    endpoint,
    allowedIps: fc.array(network, { minLength: 1, maxLength: 4 }),
    persistentKeepaliveSeconds: fc.integer({ min: 0, max: 65535 }),
    comments: fc.array(comment, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: ['publicKey', 'allowedIps', 'endpoint'] },
);

const config: fc.Arbitrary<Omit<WireGuardConfig, 'warnings'>> = fc.record(
  {
    privateKey: bytes(32),
    addresses: fc.array(interfaceAddress, { minLength: 1, maxLength: 3 }),
    dns: fc.array(address, { maxLength: 3 }),
    searchDomains: fc.array(hostName, { maxLength: 2 }),
    mtu: fc.integer({ min: 1280, max: 1500 }),
    listenPort: fc.integer({ min: 0, max: 65535 }),
    peers: fc.uniqueArray(peer, { minLength: 1, maxLength: 3, selector: ({ publicKey }) => publicKey.join() }),
    comments: fc.array(comment, { maxLength: 3 }),
  },
  { requiredKeys: ['privateKey', 'addresses', 'dns', 'searchDomains', 'peers', 'comments'] },
);

const FRAGMENTS = [
  ...['[Interface]', '[Peer]', '[', ']', '=', ',', '#', ';', '/', ':', '\n', '\r\n', '\0', '\ufeff', '"', '<', '{'],
  ...['PrivateKey', 'PublicKey', 'PresharedKey', 'Address', 'DNS', 'MTU', 'ListenPort', 'AllowedIPs', 'Endpoint'],
  ...[
    'PersistentKeepalive',
    'PostUp',
    'Table',
    'Jc',
    '0.0.0.0/0',
    '::/0',
    '10.2.0.2/32',
    '[::1]:1',
    'a.example:1',
    '🦦',
  ],
];

describe('the .conf parser under arbitrary input', () => {
  it(
    'reads back what formatWireGuardConfig wrote',
    () => {
      fc.assert(
        fc.property(config, (value) => {
          const { warnings: _, ...read } = parseWireGuardConfig(formatWireGuardConfig(value));
          expect(read).toEqual(value);
        }),
        { numRuns: RUNS / 10 },
      );
    },
    TIMEOUT_MS,
  );

  it(
    'throws SluiceError or nothing, and no key, on damaged files',
    () => {
      fc.assert(
        fc.property(config, fc.array(edit(), { minLength: 1, maxLength: 6 }), (value, edits) => {
          const text = edits.reduce((before, change) => change(before), formatWireGuardConfig(value));
          const secrets = [value.privateKey, ...value.peers.flatMap((one) => one.presharedKey ?? [])];
          expectOnlySluiceError(text, secrets);
        }),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );

  it(
    'throws SluiceError or nothing on text made of its own words',
    () => {
      const text = fc.array(fc.oneof(fc.constantFrom(...FRAGMENTS), fc.string({ maxLength: 8 })), { maxLength: 40 });
      fc.assert(
        fc.property(text, (parts) => expectOnlySluiceError(parts.join(''), [])),
        { numRuns: RUNS },
      );
    },
    TIMEOUT_MS,
  );
});

function bytesOf(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** One change to a text: cut, insert, replace, repeat or drop a line. */
function edit(): fc.Arbitrary<(text: string) => string> {
  const at = fc.double({ min: 0, max: 1, noNaN: true });
  return fc.oneof(
    fc.tuple(at, fc.constantFrom(...FRAGMENTS)).map(
      ([where, word]) =>
        (text: string) =>
          splice(text, where, 0, word),
    ),
    fc.tuple(at, fc.nat({ max: 60 })).map(
      ([where, length]) =>
        (text: string) =>
          splice(text, where, length, ''),
    ),
    fc.tuple(at, fc.string({ maxLength: 3 })).map(
      ([where, word]) =>
        (text: string) =>
          splice(text, where, 1, word),
    ),
    at.map((where) => (text: string) => {
      const lines = text.split('\n');
      const index = Math.floor(where * lines.length);
      return lines.toSpliced(index, 0, lines[index] ?? '').join('\n');
    }),
  );
}

function splice(text: string, where: number, deleted: number, inserted: string): string {
  const index = Math.floor(where * text.length);
  return text.slice(0, index) + inserted + text.slice(index + deleted);
}

function expectOnlySluiceError(text: string, secrets: readonly Uint8Array[]): void {
  try {
    parseWireGuardConfig(text, { file: 'f' });
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    expect(error.code).toMatch(/^ERR_CONFIG_/);
    expect(error.message).toMatch(/^f:\d+: /);
    for (const secret of secrets) {
      const key = Buffer.from(secret).toString('base64');
      // A key that the damage has torn apart is no key; what must never show is more than half of one.
      for (let at = 0; at + 25 <= key.length; at++)
        expect(`${error.message} ${error.hint}`.includes(key.slice(at, at + 25))).toBe(false);
    }
  }
}
