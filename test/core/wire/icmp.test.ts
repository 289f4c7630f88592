import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { icmpKind, icmpMtu, writeEchoRequest, writePacketTooBig } from '../../../src/core/wire/icmp.ts';

const kind = (family: 4 | 6, type: number, code: number): string => icmpKind(Uint8Array.of(type, code), 0, family);

describe('what ICMP messages mean', () => {
  it.each([
    [0, 0, 'echo-reply'],
    [8, 0, 'echo-request'],
    [3, 0, 'unreachable-soft'],
    [3, 1, 'unreachable-soft'],
    [3, 2, 'unreachable-hard'],
    [3, 3, 'unreachable-hard'],
    [3, 4, 'packet-too-big'],
    [3, 13, 'unreachable-soft'],
    [4, 0, 'other'],
    [5, 0, 'other'],
    [11, 0, 'unreachable-soft'],
    [12, 0, 'other-error'],
    [13, 0, 'other'],
  ])('type %d code %d of ICMP is %s (RFC 792, RFC 1122 §3.2.2)', (type, code, expected) => {
    expect(kind(4, type, code)).toBe(expected);
  });

  it.each([
    [1, 0, 'unreachable-soft'],
    [1, 1, 'unreachable-soft'],
    [1, 4, 'unreachable-hard'],
    [2, 0, 'packet-too-big'],
    [3, 0, 'unreachable-soft'],
    [4, 0, 'other-error'],
    [4, 1, 'unreachable-hard'],
    [100, 0, 'other-error'],
    [128, 0, 'echo-request'],
    [129, 0, 'echo-reply'],
    [135, 0, 'other'],
  ])('type %d code %d of ICMPv6 is %s (RFC 4443)', (type, code, expected) => {
    expect(kind(6, type, code)).toBe(expected);
  });

  it('tells the MTU of a packet too big (RFC 1191 §4, RFC 4443 §3.2)', () => {
    const bytes = new Uint8Array(36);
    writePacketTooBig(bytes, 0, 36, ip('192.0.2.1').bytes, ip('192.0.2.2').bytes, 1280);
    expect([icmpKind(bytes, 0, 4), icmpMtu(bytes, 0, 4)]).toEqual(['packet-too-big', 1280]);
    writePacketTooBig(bytes, 0, 36, ip('2001:db8::1').bytes, ip('2001:db8::2').bytes, 70_000);
    expect([icmpKind(bytes, 0, 6), icmpMtu(bytes, 0, 6)]).toEqual(['packet-too-big', 70_000]);
  });

  it('writes echo requests', () => {
    const bytes = new Uint8Array(8);
    writeEchoRequest(bytes, 0, 8, ip('192.0.2.1').bytes, ip('192.0.2.2').bytes);
    expect(bytes).toEqual(Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0));
    writeEchoRequest(bytes, 0, 8, ip('2001:db8::1').bytes, ip('2001:db8::2').bytes);
    expect(bytes[0]).toBe(128);
  });
});
