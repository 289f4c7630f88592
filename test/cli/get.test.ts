import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readConfFile } from '../../src/cli/conf-file.ts';
import { readTorrentSource } from '../../src/cli/torrent-source.ts';
import { toBase64 } from '../../src/core/base/bytes.ts';
import { SluiceError } from '../../src/core/base/errors.ts';
import { stateDirOf } from '../../src/daemon/state-dir.ts';
import { sluice } from './support.ts';

const PRIVATE = 'GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';
const PUBLIC = 'lWjkq0pQZ7v0dI3tY2nZ5x8cX1mJr6sK4uFhPpTgWEY=';
const CONF = `[Interface]\nPrivateKey = ${PRIVATE}\nAddress = 10.2.0.2/32\nPostUp = true
[Peer]\nPublicKey = ${PUBLIC}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 127.0.0.1:9\n`;
const MAGNET = `magnet:?xt=urn:btih:${'a'.repeat(40)}&dn=x`;

let folder: string;
const path = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-test-'));
  await writeFile(path('good.conf'), CONF, { mode: 0o600 });
  await writeFile(path('bad.conf'), CONF.replace('10.2.0.2/32', '10.2.0.2/99'), { mode: 0o600 });
  await writeFile(path('page.torrent'), '<!doctype html>');
});
afterAll(() => rm(folder, { recursive: true }));

const errorOf = async (promise: Promise<unknown>): Promise<SluiceError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SluiceError);
  return error as SluiceError;
};

describe('sluice get, before anything is sent', () => {
  it('ends with exit code 3 without a configuration, and never goes without a tunnel', async () => {
    const { code, err } = await sluice(['get', MAGNET]);
    expect(code).toBe(3);
    expect(err).toMatch(/without a tunnel nothing is sent.*\n.*-c FILE.conf/);
  });

  it('ends with exit code 3 and file:line for a configuration that is wrong', async () => {
    const { code, err } = await sluice(['get', MAGNET, '-c', path('bad.conf')]);
    expect(code).toBe(3);
    expect(err).toContain(`error: ${path('bad.conf')}:3: Address`);
    expect(err).not.toContain(PRIVATE.slice(0, 12));
  });

  it.each([
    ['a missing file', 'absent.conf', /does not exist/],
    ['a folder', '.', /is a folder/],
  ])('ends with exit code 3 for %s', async (_, name, words) => {
    const { code, err } = await sluice(['get', MAGNET, '-c', path(name)]);
    expect([code, err]).toEqual([3, expect.stringMatching(words)]);
  });

  it('has its error as JSON with --json', async () => {
    const { code, out, err } = await sluice(['get', MAGNET, '-c', path('absent.conf'), '--json']);
    expect([code, err]).toEqual([3, '']);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'ERR_CONFIG_FILE' } });
  });

  it.each([
    ['magnet:?dn=x', /no whole xt=urn:btih:/],
    [`magnet:?xt=urn:btih:${'a'.repeat(39)}`, /no whole xt/],
    [`magnet:?xt=urn:btmh:1220${'a'.repeat(64)}`, /v2 alone/],
    ['https://example.com/a.torrent', /not fetched/],
    ['absent.torrent', /does not exist/],
  ])('ends with exit code 1 for the torrent %s', async (source, words) => {
    const { code, err } = await sluice(['get', source, '-c', path('good.conf')]);
    expect([code, err]).toEqual([1, expect.stringMatching(words)]);
  });

  it('says that a web page is not a torrent file', async () => {
    expect((await errorOf(readTorrentSource(path('page.torrent')))).message).toContain('is not a torrent file');
  });

  it.each([MAGNET, `magnet:?xt=urn:btih:${'A2'.repeat(16)}`, `MAGNET:?dn=x&xt=urn:btih:${'F'.repeat(40)}`])(
    'takes the magnet link %s as it is (BEP 9)',
    async (link) => expect(await readTorrentSource(link)).toBe(link),
  );

  it('takes the configuration from SLUICE_WIREGUARD_CONFIG, unless an option names one', async () => {
    const env = { SLUICE_WIREGUARD_CONFIG: path('good.conf') };
    expect(toBase64((await readConfFile(undefined, env, () => {})).privateKey)).toBe(PRIVATE);
    expect((await errorOf(readConfFile(path('bad.conf'), env, () => {}))).code).toBe('ERR_CONFIG_ADDRESS');
  });

  it('warns of what the file says and we do not do, and of a key that others may read', async () => {
    const warnings: string[] = [];
    await readConfFile(path('good.conf'), {}, (text) => warnings.push(text));
    expect(warnings).toEqual([
      `${path('good.conf')}:4: PostUp is ignored: commands in a configuration are never executed.`,
    ]);
    await chmod(path('good.conf'), 0o644);
    await readConfFile(path('good.conf'), {}, (text) => warnings.push(text));
    expect(warnings.at(-1)).toContain('chmod 600');
    expect((await stat(path('good.conf'))).mode & 0o777).toBe(0o644);
    await chmod(path('good.conf'), 0o600);
  });

  it('recognises one’s own public key as the server’s', async () => {
    const { nobleCrypto } = await import('../../src/node/crypto/noble.ts');
    const own = toBase64(nobleCrypto.keyPair(Buffer.from(PRIVATE, 'base64')).publicKey);
    await writeFile(path('own.conf'), CONF.replace(PUBLIC, own), { mode: 0o600 });
    expect((await errorOf(readConfFile(path('own.conf'), {}, () => {}))).message).toContain('your own public key');
  });

  it('keeps its state in SLUICE_TUNNEL_STATE_DIR, else in the XDG state folder', () => {
    expect(stateDirOf({ SLUICE_TUNNEL_STATE_DIR: '/s', XDG_STATE_HOME: '/x' })).toBe('/s');
    expect(stateDirOf({ XDG_STATE_HOME: '/x' })).toBe('/x/sluice');
    expect(stateDirOf({})).toMatch(/\.local\/state\/sluice$/);
  });
});
