import { describe, expect, it } from 'vitest';
import { portLine, probeLine, statusText } from '../../src/cli/status-text.ts';
import type { PortForwardStatus, ProbeStatus, StatusSnapshot } from '../../src/node/status.ts';

const PROBE: ProbeStatus = {
  verdict: 'ok',
  ipv4: { observed: '203.0.113.10', expected: ['203.0.113.10'] },
  ipv6: null,
  checkedAt: '2026-11-20T17:00:00.000Z',
  nextInSeconds: 211,
};

const PORT: PortForwardStatus = {
  provider: 'natpmp',
  state: 'mapped',
  port: 54_321,
  protocols: ['tcp', 'udp'],
  leaseSeconds: 60,
  renewInSeconds: 31,
  reachable: 'open',
};

const SNAPSHOT: StatusSnapshot = {
  version: '0.1.0',
  enabled: true,
  state: 'reconnecting',
  since: '2026-11-20T17:00:00.000Z',
  reason: { code: 'silent', message: 'No answer for 30 seconds.', hint: 'Wait.' },
  tunnel: {
    endpoint: '198.51.100.2:51820',
    addresses: ['10.2.0.2/32'],
    dns: [],
    mtu: 1420,
    handshakes: 3,
    handshakeAgeSeconds: 75,
    rxBytes: 3 * 1024 ** 3,
    txBytes: 2_048,
    drops: {},
    crypto: 'wasm',
  },
  killswitch: { enabled: true, engaged: true, reasons: ['stale'] },
  probe: PROBE,
  portForward: PORT,
  clients: [{ name: 'webtorrent', state: 'ok', pausedByKillswitch: 2, portApplied: true }],
  sockets: { tcp: 3, udp: 1, listening: 1 },
};

describe('the status for people', () => {
  it('is one fact a line, with the reason and what to do right below the state', () => {
    expect(statusText(SNAPSHOT, Date.parse('2026-11-20T17:02:03.000Z'))).toBe(
      `Sluice      0.1.0, reconnecting for 2:03
            No answer for 30 seconds.
            Next: Wait.
Tunnel      198.51.100.2:51820, handshake 1:15 ago, 3.0 GiB received, 2.0 KiB sent
Addresses   10.2.0.2/32; DNS none; MTU 1420
Killswitch  on, engaged: stale
Exit        as expected: 203.0.113.10; looked at again in 3:31
Port        54321 (TCP and UDP, natpmp), renewed in 31 s; from outside: open
Client      webtorrent: ok, 2 paused by the killswitch, knows the port
Sockets     3 TCP, 1 UDP, 1 listening
`,
    );
  });

  it('does without what there is not: no server, no addresses, no clients, a killswitch that is off', () => {
    const bare: StatusSnapshot = {
      ...SNAPSHOT,
      reason: null,
      tunnel: { ...SNAPSHOT.tunnel, endpoint: null, addresses: [] },
      killswitch: { enabled: false, engaged: false, reasons: [] },
      clients: [],
    };
    const text = statusText(bare, Date.parse(bare.since));
    expect(text).toContain('\nTunnel      no server\n');
    expect(text).toContain('\nKillswitch  OFF, not engaged\n');
    expect(text).not.toMatch(/Addresses|Client |Next/);
  });

  it.each<[Partial<ProbeStatus>, string]>([
    [{ verdict: 'leak', nextInSeconds: 0 }, 'LEAK, none of the VPN’s: 203.0.113.10; looked at again in 0 s'],
    [
      { verdict: 'unknown', ipv6: { observed: null, expected: [] } },
      'not fully known: 203.0.113.10, IPv6 not told; looked at again in 3:31',
    ],
    [{ verdict: 'pending', ipv4: null, nextInSeconds: null }, 'not known yet'],
    [{ verdict: 'off', ipv4: null, nextInSeconds: null }, 'not looked at'],
  ])('tells the exit in words: %o', (changes, line) => {
    expect(probeLine({ ...PROBE, ...changes })).toBe(line);
  });

  it.each<[Partial<PortForwardStatus>, string]>([
    [{ provider: 'none', state: 'off', port: null }, 'not forwarded'],
    [{ state: 'acquiring', port: null }, 'asked for (natpmp)'],
    [{ state: 'failed', port: null }, 'none (natpmp)'],
    [
      { provider: 'static', renewInSeconds: null, reachable: 'unknown' },
      '54321 (TCP and UDP, static); from outside: unknown',
    ],
  ])('tells the port in words: %o', (changes, line) => {
    expect(portLine({ portForward: { ...PORT, ...changes } })).toBe(line);
  });
});
