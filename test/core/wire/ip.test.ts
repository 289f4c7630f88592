import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { concat, fromHex, setU16be } from '../../../src/core/base/bytes.ts';
import { checksum, sum } from '../../../src/core/wire/checksum.ts';
import { type IpFault, type IpHeader, ipHeader } from '../../../src/core/wire/ip.ts';
import { parseIpPacket, writeIpHeader } from '../../../src/core/wire/ip-packet.ts';
import { writeIpv4Header } from '../../../src/core/wire/ipv4.ts';
import { writeIpv6Header } from '../../../src/core/wire/ipv6.ts';

const parse = (bytes: Uint8Array, offset = 0, length = bytes.length - offset): IpHeader | IpFault => {
  const header = ipHeader();
  return parseIpPacket(bytes, offset, length, header) ?? header;
};

const v4 = (payload: Uint8Array, protocol = 17): Uint8Array => {
  const bytes = concat(new Uint8Array(20), payload);
  writeIpv4Header(bytes, 0, payload.length, protocol, ip('192.0.2.1').bytes, ip('10.2.0.2').bytes);
  return bytes;
};

/** Sets header fields of an IPv4 packet and repairs its checksum. */
const patched = (packet: Uint8Array, ...changes: readonly (readonly [number, number])[]): Uint8Array => {
  for (const [offset, value] of changes) setU16be(packet, offset, value);
  const length = Math.max(20, (packet[0]! & 15) * 4);
  setU16be(packet, 10, 0);
  setU16be(packet, 10, checksum(sum(packet, 0, Math.min(length, packet.length))));
  return packet;
};

const withOptions = (options: string, payload = new Uint8Array(8)): Uint8Array => {
  const bytes = concat(v4(new Uint8Array(0)), fromHex(options), payload);
  return patched(bytes, [0, (0x45 + options.length / 8) << 8], [2, bytes.length]);
};

const v6 = (next: number, payload: Uint8Array): Uint8Array => {
  const bytes = concat(new Uint8Array(40), payload);
  writeIpv6Header(bytes, 0, payload.length, next, ip('2001:db8::1').bytes, ip('fd00::2').bytes);
  return bytes;
};

describe('IPv4 (RFC 791 §3.1)', () => {
  it('parses what it wrote, at any offset and with padding behind', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.nat(20),
        fc.nat(20),
        fc.nat(255),
        (payload, before, behind, protocol) => {
          const bytes = concat(new Uint8Array(before), v4(payload, protocol), new Uint8Array(behind));
          expect(parse(bytes, before)).toEqual({
            family: 4,
            protocol,
            hopLimit: 64,
            sourceOffset: before + 12,
            destinationOffset: before + 16,
            payloadOffset: before + 20,
            payloadLength: payload.length,
            fragmentOffset: 0,
            moreFragments: false,
            identification: 0,
          });
        },
      ),
    );
  });

  it('writes the header of a known packet', () => {
    expect(v4(new Uint8Array(4)).subarray(0, 20)).toEqual(fromHex('450000180000400040116ed0c00002010a020002'));
  });

  it('skips options, among them one without length at the end', () => {
    expect(parse(withOptions('9404000001010100'))).toMatchObject({ payloadOffset: 28, payloadLength: 8 });
  });

  it.each(['83070404040404 00', '89070404040404 00', '0183030400000000'])(
    'refuses source routes, which option %s is (RFC 7126 §3.2)',
    (options) => {
      expect(parse(withOptions(options.replace(' ', '')))).toBe('ip-source-route');
    },
  );

  it.each(['94000000', '94010000', '9405aabb', '01010194'])(
    'refuses options %s, whose length leads nowhere',
    (options) => {
      expect(parse(withOptions(options))).toBe('ip-source-route');
    },
  );

  it('reads the fragment fields', () => {
    expect(parse(patched(v4(new Uint8Array(8)), [4, 0xabcd], [6, 0x2003]))).toMatchObject({
      identification: 0xabcd,
      moreFragments: true,
      fragmentOffset: 24,
    });
    expect(parse(patched(v4(new Uint8Array(8)), [6, 0x1fff]))).toMatchObject({
      moreFragments: false,
      fragmentOffset: 65_528,
    });
  });

  it.each([
    ['no byte', 'ip-truncated', new Uint8Array(0)],
    ['19 bytes', 'ip-truncated', v4(new Uint8Array(0)).subarray(0, 19)],
    ['a total length beyond the bytes', 'ip-truncated', patched(v4(new Uint8Array(8)), [2, 29])],
    ['a total length below the header', 'ip-header-length', patched(v4(new Uint8Array(8)), [2, 19])],
    ['a header of 16 bytes', 'ip-header-length', patched(v4(new Uint8Array(8)), [0, 0x4400])],
    ['a header longer than the packet', 'ip-header-length', patched(v4(new Uint8Array(8)), [0, 0x4f00])],
    ['version 5', 'ip-version', patched(v4(new Uint8Array(8)), [0, 0x5500])],
  ] as const)('refuses %s (%s)', (_, fault, packet) => {
    expect(parse(packet)).toBe(fault);
  });

  it('refuses a header with any bit flipped (RFC 1122 §3.2.1.2)', () => {
    for (let bit = 0; bit < 160; bit++) {
      const packet = v4(new Uint8Array(8));
      packet[bit >>> 3]! ^= 1 << (bit & 7);
      expect(typeof parse(packet), `bit ${bit}`).toBe('string');
    }
  });
});

describe('IPv6 (RFC 8200 §3, §4)', () => {
  const transport = fromHex('0035003500080000');

  it('parses what it wrote', () => {
    const bytes = concat(new Uint8Array(7), v6(17, transport), new Uint8Array(3));
    expect(parse(bytes, 7)).toEqual({
      family: 6,
      protocol: 17,
      hopLimit: 64,
      sourceOffset: 15,
      destinationOffset: 31,
      payloadOffset: 47,
      payloadLength: 8,
      fragmentOffset: 0,
      moreFragments: false,
      identification: 0,
    });
  });

  it('skips hop-by-hop, destination options and an empty routing header', () => {
    const packet = v6(
      0,
      concat(
        fromHex('3c00010400000000'),
        fromHex('2b01 0108 0000000000000000 0000 0000'.replaceAll(' ', '')),
        fromHex('1100000000000000'),
        transport,
      ),
    );
    expect(parse(packet)).toMatchObject({ protocol: 17, payloadOffset: 72, payloadLength: 8 });
  });

  it('stops at a fragment, and takes an atomic fragment for a whole packet (RFC 6946 §4)', () => {
    expect(parse(v6(44, concat(fromHex('1100000912345678'), transport)))).toMatchObject({
      protocol: 17,
      fragmentOffset: 8,
      moreFragments: true,
      identification: 0x12345678,
      payloadLength: 8,
    });
    expect(parse(v6(44, concat(fromHex('1100000012345678'), transport)))).toMatchObject({
      protocol: 17,
      fragmentOffset: 0,
      moreFragments: false,
      payloadLength: 8,
    });
  });

  it.each([
    ['a hop-by-hop header that is not the first (§4.1)', 60, '0000010400000000 1100010400000000'],
    ['an option that must be understood (§4.2)', 0, '110042020000 0000'],
    ['a jumbogram (RFC 2675)', 0, '1100c20400020000'],
    ['an option that runs over its header', 0, '1100010700000000'],
    ['an option without length', 0, '110001030000 0001'],
    ['a header that runs over the packet', 0, '1102010400000000'],
    ['half a header', 0, '11000104'],
  ])('refuses %s', (_, next, headers) => {
    const extensions = fromHex(headers.replaceAll(' ', ''));
    expect(parse(v6(next, next === 0 && extensions.length < 8 ? extensions : concat(extensions, transport)))).toBe(
      'ip-extension-header',
    );
  });

  it('reads on behind an atomic fragment, and never past the packet', () => {
    const options = fromHex('1100010400000000');
    expect(parse(v6(44, concat(fromHex('3c00000012345678'), options, transport)))).toMatchObject({
      protocol: 17,
      payloadOffset: 56,
    });
    expect(parse(v6(43, concat(fromHex('1102000000000000'), transport)))).toBe('ip-extension-header');
  });

  it('refuses a route that is not at its end (RFC 5095 §3)', () => {
    expect(parse(v6(43, concat(fromHex('1100000100000000'), transport)))).toBe('ip-source-route');
  });

  it('reads at most eight extension headers', () => {
    const chain = (count: number): Uint8Array =>
      v6(
        60,
        concat(
          ...Array.from({ length: count }, (_, i) => fromHex(`${i === count - 1 ? '11' : '3c'}00010400000000`)),
          transport,
        ),
      );
    expect(parse(chain(8))).toMatchObject({ protocol: 17 });
    expect(parse(chain(9))).toBe('ip-extension-header');
  });

  it.each([
    ['39 bytes', v6(17, transport).subarray(0, 39)],
    ['a payload longer than the bytes', v6(17, transport).subarray(0, 47)],
  ])('refuses %s', (_, packet) => {
    expect(parse(packet)).toBe('ip-truncated');
  });
});

it('refuses other versions, and chooses the version by the address', () => {
  expect(parse(Uint8Array.of(0x00))).toBe('ip-version');
  const bytes = new Uint8Array(40);
  expect(writeIpHeader(bytes, 0, 0, 17, ip('192.0.2.1').bytes, ip('192.0.2.2').bytes)).toBe(20);
  expect(writeIpHeader(bytes, 0, 0, 17, ip('2001:db8::1').bytes, ip('2001:db8::2').bytes, 3)).toBe(40);
  expect([bytes[0], bytes[7]]).toEqual([0x60, 3]);
});
