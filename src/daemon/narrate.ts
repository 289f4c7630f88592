/** A tunnel's events as lines of the log. */

import type { ApiSource } from '../api/source.ts';
import type { Reason } from '../node/status.ts';
import { type SelectUdpOptions, selectUdp } from '../node/udp/select.ts';
import type { Logger } from './log.ts';

/** Writes a line for whatever a person would want to know afterwards; handshakes only at level debug. */
export function narrate(source: ApiSource, log: Logger): void {
  source.on('state', ({ state, reason }) => {
    if (state === 'connected')
      log.info({ ...connection(source), ...because(reason) }, 'The tunnel is up; traffic flows.');
    else if (reason) log.warn({ state, ...because(reason) }, reason.message);
    else log.info({ state }, `The tunnel is ${state}.`);
  });
  source.on('handshake', (facts) => log.debug(facts, 'Handshake.'));
  source.on('endpoint.changed', ({ endpoint }) => log.debug({ endpoint }, 'The server is tried at this address.'));
  source.on('mtu.changed', ({ mtu }) =>
    log.info({ mtu }, `The line outside carries tunnel packets of up to ${mtu} bytes; transfers are cut to that.`),
  );
  source.on('killswitch.engaged', ({ reasons }) => log.warn({ reasons }, 'The killswitch is engaged.'));
  source.on('killswitch.released', () => log.info('The killswitch is released.'));
  source.on('probe', ({ verdict, ipv4, ipv6 }) => {
    const facts = { verdict, ipv4: ipv4?.observed, ipv6: ipv6?.observed };
    if (verdict === 'leak') log.warn(facts, 'The exit address is none of the VPN’s.');
    else if (verdict === 'unknown') log.info(facts, 'The exit address is not fully known.');
    else log.debug(facts, 'The exit address is as expected.');
  });
  source.on('port.mapped', ({ port }) => log.info({ port }, `Port ${port} is forwarded.`));
  source.on('port.lost', ({ reason }) => {
    if (reason.code === 'ERR_CLOSED') log.info('The forwarded port is given back.');
    else log.warn(because(reason), `The forwarded port is lost: ${reason.message}`);
  });
  source.on('client.paused', (facts) => log.info(facts, 'The killswitch has paused a transfer.'));
  source.on('client.resumed', (facts) => log.info(facts, 'A transfer that the killswitch had paused is resumed.'));
  source.on('client.port', (facts) => log.info(facts, 'A torrent client announces another port.'));
}

/** Says once why datagrams are not carried in the fastest way, where they are not and nobody has asked for that. */
export function narrateUdpPort(log: Logger, select: (options: SelectUdpOptions) => unknown = selectUdp): void {
  select({
    onSkipped: ({ reason, message }) =>
      log.info(
        { reason, message },
        'Datagrams go through node:dgram, which takes more processor time than system calls.',
      ),
  });
}

function because(reason: Reason | null): { readonly code?: string; readonly hint?: string } {
  return reason ? { code: reason.code, hint: reason.hint } : {};
}

function connection(source: ApiSource): { readonly endpoint: string | null; readonly crypto: string } {
  const { endpoint, crypto } = source.status().tunnel;
  return { endpoint, crypto };
}
