import { describe, expect, it } from 'vitest';
import { readSettings } from '../../src/daemon/settings.ts';

const env = { HOME: '/home/x', XDG_STATE_HOME: '/state' };

describe('settings of the daemon', () => {
  it('are complete without any', () => {
    expect(readSettings(env)).toEqual({
      tunnel: { enabled: true, stateDir: '/state/sluice' },
      wireguard: { fallback: [] },
      portForward: { provider: 'none' },
      killswitch: {},
      probe: {},
      api: { listen: { kind: 'tcp', host: '127.0.0.1', port: 8787 } },
      log: { level: 'info' },
    });
  });

  it('come from SLUICE_<SECTION>_<KEY>, each with its type', () => {
    const settings = readSettings({
      ...env,
      SLUICE_TUNNEL_ENABLED: 'false',
      SLUICE_TUNNEL_STATE_DIR: '/var/sluice',
      SLUICE_WIREGUARD_CONFIG: '/etc/a.conf',
      SLUICE_WIREGUARD_FALLBACK: '/etc/b.conf, /etc/c.conf',
      SLUICE_PORT_FORWARD_PROVIDER: 'natpmp',
      SLUICE_PORT_FORWARD_GATEWAY: '10.2.0.1',
      SLUICE_PORT_FORWARD_REFRESH_SECONDS: '30',
      SLUICE_PORT_FORWARD_CHECK_URL: 'https://a.example/{{PORT}}',
      SLUICE_KILLSWITCH_ENABLED: 'FALSE',
      SLUICE_KILLSWITCH_STALE_AFTER_SECONDS: '200',
      SLUICE_KILLSWITCH_SILENT_AFTER_SECONDS: '20',
      SLUICE_PROBE_ENABLED: 'true',
      SLUICE_PROBE_INTERVAL_SECONDS: '60',
      SLUICE_PROBE_URLS: 'https://a.example/ip, http://b.example',
      SLUICE_PROBE_URLS_V6: 'https://c.example',
      SLUICE_PROBE_TIMEOUT_SECONDS: '5',
      SLUICE_PROBE_EXPECTED: '203.0.113.0/24,2001:db8::1',
      SLUICE_PROBE_ON_MISMATCH: 'warn',
      SLUICE_API_LISTEN: '/run/sluice.sock',
      SLUICE_LOG_LEVEL: 'debug',
      SLUICE_LOG_FORMAT: 'json',
    });
    expect(settings).toEqual({
      tunnel: { enabled: false, stateDir: '/var/sluice' },
      wireguard: { config: '/etc/a.conf', fallback: ['/etc/b.conf', '/etc/c.conf'] },
      portForward: {
        provider: 'natpmp',
        gateway: '10.2.0.1',
        refreshSeconds: 30,
        checkUrl: 'https://a.example/{{PORT}}',
      },
      killswitch: { enabled: false, staleAfterSeconds: 200, silentAfterSeconds: 20 },
      probe: {
        enabled: true,
        intervalSeconds: 60,
        urls: ['https://a.example/ip', 'http://b.example'],
        urlsV6: ['https://c.example'],
        timeoutSeconds: 5,
        expected: ['203.0.113.0/24', '2001:db8::1'],
        onMismatch: 'warn',
      },
      api: { listen: { kind: 'unix', path: '/run/sluice.sock' } },
      log: { level: 'debug', format: 'json' },
    });
  });

  it('come from options before the environment', () => {
    const settings = readSettings(
      {
        ...env,
        SLUICE_API_LISTEN: '127.0.0.1:1',
        SLUICE_PORT_FORWARD_PROVIDER: 'natpmp',
        SLUICE_WIREGUARD_CONFIG: 'a',
      },
      { listen: '127.0.0.1:2', portForward: 'static:54321', stateDir: '/s', config: 'b' },
    );
    expect(settings).toMatchObject({
      tunnel: { stateDir: '/s' },
      wireguard: { config: 'b' },
      portForward: { provider: 'static', port: 54_321 },
      api: { listen: { port: 2 } },
    });
  });

  it.each([
    ['SLUICE_KILLSWITCH_ENABLED', 'on', 'true or false'],
    ['SLUICE_KILLSWITCH_STALE_AFTER_SECONDS', '149', 'from 150'],
    ['SLUICE_KILLSWITCH_SILENT_AFTER_SECONDS', '30s', 'a whole number of seconds'],
    ['SLUICE_PORT_FORWARD_PROVIDER', 'upnp', 'none, natpmp, protonvpn, static'],
    ['SLUICE_PORT_FORWARD_CHECK_URL', 'https://a.example', '{{PORT}}'],
    ['SLUICE_PORT_FORWARD_GATEWAY', 'fd00::1', 'an IPv4 address'],
    ['SLUICE_PROBE_URLS', 'https://a.example, ftp://b.example', 'https://'],
    ['SLUICE_PROBE_EXPECTED', '203.0.113.0/33', '203.0.113.0/24'],
    ['SLUICE_API_LISTEN', 'nas:8787', '127.0.0.1:8787'],
    ['SLUICE_LOG_LEVEL', 'loud', 'info'],
  ])('are refused with name, expectation and what was given: %s=%s', (name, value, expected) => {
    const refused = (): unknown => readSettings({ ...env, [name]: value });
    expect(refused).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_VALUE' }));
    expect(refused).toThrow(name);
    expect(refused).toThrow(expected);
    expect(refused).toThrow(`“${value}”`);
  });

  it('are refused if a name is misspelt, since a killswitch must not be missed by a letter', () => {
    expect(() => readSettings({ ...env, SLUICE_KILLSWITCH_ENABLE: 'true' })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_VALUE', hint: 'Did you mean SLUICE_KILLSWITCH_ENABLED?' }),
    );
    expect(() =>
      readSettings({ ...env, SLUICE_DEBUG: '1', SLUICE_SERVICE_HOST: 'x', SLUICE_PORT: 'tcp://x' }),
    ).not.toThrow();
  });

  it('need the port for a provider that assigns one', () => {
    expect(() => readSettings(env, { portForward: 'static' })).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG_VALUE', hint: expect.stringContaining('static:PORT') }),
    );
    expect(() => readSettings(env, { portForward: 'static:0' })).toThrow('from 1 to 65535');
  });

  it('never show what may be a key', () => {
    const key = 'GPLx0RZKp2ZbKq5/oVKRw0s7S9CfLzyr2fFsk5WUnUM=';
    expect(() => readSettings({ ...env, SLUICE_LOG_LEVEL: key })).toThrow('the value (not shown here)');
  });
});
