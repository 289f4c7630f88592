/** The status snapshot as a person reads it. */

import type { ClientStatus, ProbeStatus, Reason, StatusSnapshot } from '../node/status.ts';
import { formatBytes, formatSeconds } from './progress/units.ts';

/** One fact a line, names in a column of their own. `nowMs`: wall clock. */
export function statusText(status: StatusSnapshot, nowMs: number): string {
  const { tunnel, killswitch, sockets } = status;
  const facts: [string, string][] = [
    ['Sluice', `${status.version}, ${status.state} for ${formatSeconds((nowMs - Date.parse(status.since)) / 1_000)}`],
    ...because(status.reason),
    ['Tunnel', tunnelLine(status)],
    ...(tunnel.addresses.length > 0 ? [['Addresses', addressLine(status)] as [string, string]] : []),
    ['Killswitch', killswitchLine(killswitch)],
    ['Exit', probeLine(status.probe)],
    ['Port', portLine(status)],
    ...status.clients.map((client): [string, string] => ['Client', clientLine(client)]),
    ['Sockets', `${sockets.tcp} TCP, ${sockets.udp} UDP, ${sockets.listening} listening`],
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** What is known about the address that the world sees. */
export function probeLine({ verdict, ipv4, ipv6, nextInSeconds }: ProbeStatus): string {
  const families = [
    ...(ipv4 ? [ipv4.observed ?? 'IPv4 not told'] : []),
    ...(ipv6 ? [ipv6.observed ?? 'IPv6 not told'] : []),
  ];
  const addresses = families.length > 0 ? `: ${families.join(', ')}` : '';
  const next = nextInSeconds === null ? '' : `; looked at again in ${formatSeconds(nextInSeconds)}`;
  return `${VERDICTS[verdict]}${addresses}${next}`;
}

const VERDICTS: Readonly<Record<ProbeStatus['verdict'], string>> = {
  ok: 'as expected',
  leak: 'LEAK, none of the VPN’s',
  unknown: 'not fully known',
  pending: 'not known yet',
  off: 'not looked at',
};

/** What is known about the forwarded port. */
export function portLine({ portForward }: Pick<StatusSnapshot, 'portForward'>): string {
  const { provider, state, port, protocols, renewInSeconds, reachable } = portForward;
  if (provider === 'none') return 'not forwarded';
  if (port === null)
    return `${{ off: 'off', acquiring: 'asked for', mapped: 'mapped', failed: 'none' }[state]} (${provider})`;
  const renewal = renewInSeconds === null ? '' : `, renewed in ${formatSeconds(renewInSeconds)}`;
  return `${port} (${protocols.map((name) => name.toUpperCase()).join(' and ')}, ${provider})${renewal}; from outside: ${reachable}`;
}

function because(reason: Reason | null): [string, string][] {
  if (!reason) return [];
  return [
    ['', reason.message],
    ['', `Next: ${reason.hint}`],
  ];
}

function tunnelLine({ tunnel }: StatusSnapshot): string {
  const { endpoint, handshakeAgeSeconds, rxBytes, txBytes } = tunnel;
  if (endpoint === null) return 'no server';
  const handshake =
    handshakeAgeSeconds === null ? 'no handshake yet' : `handshake ${formatSeconds(handshakeAgeSeconds)} ago`;
  return `${endpoint}, ${handshake}, ${formatBytes(rxBytes)} received, ${formatBytes(txBytes)} sent`;
}

function addressLine({ tunnel: { addresses, dns, mtu } }: StatusSnapshot): string {
  return `${addresses.join(', ')}; DNS ${dns.join(', ') || 'none'}; MTU ${mtu}`;
}

function killswitchLine({ enabled, engaged, reasons }: StatusSnapshot['killswitch']): string {
  const why = reasons.length > 0 ? `: ${reasons.join(', ')}` : '';
  return `${enabled ? 'on' : 'OFF'}, ${engaged ? `engaged${why}` : 'not engaged'}`;
}

function clientLine({ name, state, pausedByKillswitch, portApplied }: ClientStatus): string {
  const paused = pausedByKillswitch > 0 ? `, ${pausedByKillswitch} paused by the killswitch` : '';
  return `${name}: ${state}${paused}${portApplied ? ', knows the port' : ''}`;
}
