import { describe, expect, it } from 'vitest';
import { fromHex, setU32le, toHex } from '../../../src/core/base/bytes.ts';
import {
  COOKIE_REPLY_LENGTH,
  encodeCookieReply,
  encodeInitiation,
  encodeResponse,
  INITIATION_LENGTH,
  MESSAGE_UNKNOWN,
  messageType,
  RESPONSE_LENGTH,
  TRANSPORT_MIN_LENGTH,
  writeTransportHeader,
} from '../../../src/core/wire/wireguard.ts';

const typed = (type: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  if (length >= 4) setU32le(bytes, 0, type);
  return bytes;
};
const typeOf = (bytes: Uint8Array): number => messageType(bytes, 0, bytes.length);

describe('WireGuard messages as bytes', () => {
  it('B1: are 148, 92 and 64 bytes long, exactly, and transport messages at least 32 (W§5.4)', () => {
    expect([INITIATION_LENGTH, RESPONSE_LENGTH, COOKIE_REPLY_LENGTH, TRANSPORT_MIN_LENGTH]).toEqual([148, 92, 64, 32]);
    for (const [type, exact] of [
      [1, 148],
      [2, 92],
      [3, 64],
    ] as const)
      for (let length = 0; length < 300; length++)
        expect(typeOf(typed(type, length))).toBe(length === exact ? type : MESSAGE_UNKNOWN);
    for (let length = 0; length < 300; length++)
      expect(typeOf(typed(4, length))).toBe(length >= 32 ? 4 : MESSAGE_UNKNOWN);
  });

  it('B2: have a type of 32 bits, so that reserved bytes which are not zero make it unknown (W§5.4)', () => {
    for (const [type, length] of [
      [1, 148],
      [2, 92],
      [3, 64],
      [4, 32],
    ] as const)
      for (const reserved of [1, 2, 3]) {
        const bytes = typed(type, length);
        bytes[reserved] = 1;
        expect(typeOf(bytes)).toBe(MESSAGE_UNKNOWN);
      }
  });

  it('B4: are nothing else for any other type (W§5.4)', () => {
    for (const type of [0, 5, 255, 0xffff_ffff, 0x0100_0000])
      for (const length of [32, 64, 92, 148, 1_500, 65_507]) expect(typeOf(typed(type, length))).toBe(MESSAGE_UNKNOWN);
  });

  it('B3: carry indices and counters little-endian (W§5.4)', () => {
    const header = new Uint8Array(20);
    writeTransportHeader(header, 4, 0x11223344, 0x55667788, 0x99aabbcc);
    expect(toHex(header)).toBe(`00000000${'04000000'}${'44332211'}${'88776655'}${'ccbbaa99'}`);
    expect(toHex(encodeInitiation(0x01020304, new Uint8Array(108)).subarray(0, 8))).toBe('0100000004030201');
    expect(toHex(encodeResponse(1, 0xfffffffe, new Uint8Array(48)).subarray(0, 12))).toBe('0200000001000000feffffff');
    expect(toHex(encodeCookieReply(7, new Uint8Array(24), new Uint8Array(32)).subarray(0, 8))).toBe('0300000007000000');
  });

  it('B1: leave both MACs zero until they are signed (W§5.4.4)', () => {
    const noise = fromHex('aa'.repeat(108));
    expect(toHex(encodeInitiation(1, noise))).toBe(`0100000001000000${'aa'.repeat(108)}${'00'.repeat(32)}`);
    expect(toHex(encodeResponse(1, 2, noise.subarray(0, 48)))).toBe(
      `020000000100000002000000${'aa'.repeat(48)}${'00'.repeat(32)}`,
    );
  });
});
