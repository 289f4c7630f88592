import { describe, expect, it } from 'vitest';
import { formatListen, parseListen } from '../../src/api/listen.ts';

describe('the address that the API listens on', () => {
  it.each([
    ['127.0.0.1:8787', '127.0.0.1:8787'],
    ['localhost:0', '127.0.0.1:0'],
    ['[::1]:8787', '[::1]:8787'],
    ['0.0.0.0:80', '0.0.0.0:80'],
    ['/run/sluice.sock', '/run/sluice.sock'],
    ['unix:/run/sluice.sock', '/run/sluice.sock'],
  ])('reads %s', (text, formatted) => {
    const listen = parseListen(text);
    expect(listen && formatListen(listen)).toBe(formatted);
    expect(parseListen(formatted)).toEqual(listen);
  });

  it.each([
    '',
    '8787',
    ':8787',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '::1:8787',
    '[127.0.0.1]:1',
    'nas:8787',
    'sluice.sock',
    'http://127.0.0.1:1',
  ])('does not take %j', (text) => {
    expect(parseListen(text)).toBeUndefined();
  });
});
