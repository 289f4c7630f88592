import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { isUnicast, LocalAddresses } from '../../../src/core/netstack/local-addresses.ts';

const unicast = (text: string): boolean => isUnicast(ip(text).bytes, 0, ip(text).family);

describe('addresses that a packet may carry', () => {
  it.each(['1.1.1.1', '10.2.0.2', '126.255.255.255', '128.0.0.1', '169.254.1.1', '223.255.255.255'])(
    '%s is unicast',
    (text) => {
      expect(unicast(text)).toBe(true);
    },
  );

  it.each([
    '0.0.0.0',
    '0.1.2.3',
    '127.0.0.1',
    '127.255.255.255',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.1',
    '255.255.255.255',
  ])('%s is not (RFC 1122 §3.2.1.3)', (text) => {
    expect(unicast(text)).toBe(false);
  });

  it.each(['2001:db8::1', 'fd00::2', 'fe80::1', '::2', '::1:1', '64:ff9b::1', '::1.2.3.4', '0:1::'])(
    '%s is unicast',
    (text) => {
      expect(unicast(text)).toBe(true);
    },
  );

  it.each(['::', '::1', 'ff02::1', 'ffff::1', '::ffff:1.2.3.4'])('%s is not (RFC 4291 §2.5, §2.7)', (text) => {
    expect(unicast(text)).toBe(false);
  });
});

describe('the address to send from (RFC 6724 §5)', () => {
  const local = new LocalAddresses(['10.2.0.2', '10.2.0.3', '192.168.1.1', 'fd00::2', '2001:db8::2'].map(ip));
  const from = (remote: string): unknown => local.sourceFor(ip(remote));

  it('shares most leading bits with the destination; the first of equals is taken', () => {
    expect(from('192.0.2.1')).toEqual(ip('192.168.1.1'));
    expect(from('10.2.9.9')).toEqual(ip('10.2.0.2'));
    expect(from('2001:db9::1')).toEqual(ip('2001:db8::2'));
    expect(from('fd11::1')).toEqual(ip('fd00::2'));
  });

  it('is none for what cannot be reached', () => {
    expect(['10.2.0.3', 'fd00::2', '127.0.0.1', '::1', 'ff02::1'].map(from)).toEqual(Array(5).fill(undefined));
    expect(new LocalAddresses([ip('10.2.0.2')]).sourceFor(ip('2001:db8::1'))).toBeUndefined();
  });
});
