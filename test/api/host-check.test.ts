import { describe, expect, it } from 'vitest';
import { checkHost } from '../../src/api/host-check.ts';

describe('the Host check (against DNS rebinding)', () => {
  it.each([
    'localhost',
    'LOCALHOST',
    'localhost:8787',
    'localhost.:8787',
    'localhost:1',
    'localhost:',
    '127.0.0.1',
    '127.0.0.1:9000',
    '127.8.8.8:8787',
    '[::1]',
    '[::1]:8787',
    '[0:0:0:0:0:0:0:1]:8787',
  ])('allows %s: nobody else can own that name', (header) => {
    expect(checkHost(header, '127.0.0.1')).toBe('allowed');
    expect(checkHost(header, '::1')).toBe('allowed');
    expect(checkHost(header, undefined)).toBe('allowed');
  });

  it.each([
    'evil.example',
    'evil.example:8787',
    'evil.example.',
    'localhost.evil.example',
    'evil-localhost',
    'localhost..',
    '127.0.0.1.',
    '127.0.0.1.evil.example:8787',
    '127.1',
    '2130706433',
    '0x7f.0.0.1',
    '0127.0.0.1',
    '0.0.0.0:8787',
    '10.0.0.5:8787',
    '[::]:8787',
    '[::ffff:10.0.0.5]',
    '[2001:db8::1]:8787',
  ])('refuses %s, on every family', (header) => {
    expect(checkHost(header, '127.0.0.1')).toBe('foreign');
    expect(checkHost(header, '::1')).toBe('foreign');
  });

  it.each([
    '',
    ':8787',
    '::1',
    '::1:8787',
    '[::1',
    '[127.0.0.1]',
    '[localhost]',
    'localhost:x',
    'localhost:99999',
    'localhost:8787:1',
    'a b',
    'localhost/',
    'user@localhost',
    'localhost,evil.example:1:2',
  ])('calls %j malformed (RFC 9110 §7.2)', (header) => {
    expect(checkHost(header, '127.0.0.1')).toBe('malformed');
  });

  it('allows the address that the connection came to, in any form of it, and no other', () => {
    expect(checkHost('192.168.1.5:8787', '192.168.1.5')).toBe('allowed');
    expect(checkHost('192.168.1.5:8787', '::ffff:192.168.1.5')).toBe('allowed');
    expect(checkHost('[2001:DB8:0::1]', '2001:db8::1')).toBe('allowed');
    expect(checkHost('192.168.1.6:8787', '192.168.1.5')).toBe('foreign');
  });
});
