import { describe, expect, it } from 'vitest';
import { ip } from '../../../src/core/base/address.ts';
import { parseHostName } from '../../../src/core/dns/host-name.ts';

const LONGEST = Array(127).fill('a').join('.');

describe('what a resolver is asked for', () => {
  it.each(['192.0.2.1', '2001:db8::1', '0.0.0.0'])('takes %s as the address that it is', (text) => {
    expect(parseHostName(text)).toEqual({ kind: 'literal', address: ip(text) });
  });

  it.each([
    ['Tracker.Example.COM', 'tracker.example.com'],
    ['tracker.example.com.', 'tracker.example.com'],
    ['_srv.my_host.example', '_srv.my_host.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['router', 'router'],
    ['1.2.3.4.in-addr.arpa', '1.2.3.4.in-addr.arpa'],
    [LONGEST, LONGEST],
  ])('takes %s as a name, in lower case and without the final dot (RFC 4343)', (text, name) => {
    expect(parseHostName(text)).toEqual({ kind: 'name', name });
  });

  it.each(['localhost', 'LOCALHOST.', 'x.localhost', 'nas.local', 'a.onion', 'a.invalid'])(
    'never lets the DNS see %s (RFC 6761 §6.3, RFC 6762 §3, RFC 7686 §2)',
    (text) => {
      expect(parseHostName(text)).toEqual({ kind: 'reserved' });
    },
  );

  it.each([
    '',
    '.',
    'a..b',
    '.a',
    'a b',
    'bücher.de',
    'a/b',
    '[::1]',
    '1.2.3',
    '256.1.1.1',
    '01.2.3.4',
    `${'x'.repeat(64)}.com`,
    `a.${LONGEST}`,
    'fe80::1%eth0',
  ])('refuses %j', (text) => {
    expect(parseHostName(text)).toEqual({ kind: 'invalid' });
  });
});
