/** What went wrong with the gateway, in words that a person can act on. */

import { formatIp, type IpAddress } from '../base/address.ts';
import { ERRORS, type ErrorCode } from '../base/errors.ts';
import {
  NATPMP_NETWORK_FAILURE,
  NATPMP_NOT_AUTHORIZED,
  NATPMP_OUT_OF_RESOURCES,
  NATPMP_UNSUPPORTED_OPCODE,
  NATPMP_UNSUPPORTED_VERSION,
} from '../wire/natpmp.ts';
import type { LeaseReason } from './messages.ts';

/** How a round of requests ended without a port. */
export type RoundFailure =
  | { readonly kind: 'silent' }
  | { readonly kind: 'refused'; readonly result: number }
  /** It holds different ports for UDP and TCP, asked twice. */
  | { readonly kind: 'split'; readonly udp: number; readonly tcp: number }
  /** It gives another port each time, or loses its state within a round. */
  | { readonly kind: 'unsteady' }
  /** It says yes, but grants port 0, or no time. */
  | { readonly kind: 'empty' };

export function reasonOf(failure: RoundFailure, gateway: IpAddress): LeaseReason {
  const who = `The gateway ${formatIp(gateway)}`;
  switch (failure.kind) {
    case 'silent':
      return reason('ERR_PORT_FORWARD_SILENT', `${who} does not answer requests for a port.`);
    case 'refused':
      return refusal(failure.result, who);
    case 'split':
      return reason(
        'ERR_PORT_FORWARD_GATEWAY',
        `${who} forwards different ports for UDP (${failure.udp}) and TCP (${failure.tcp}).`,
      );
    case 'unsteady':
      return reason('ERR_PORT_FORWARD_GATEWAY', `${who} gives another port with every answer.`);
    case 'empty':
      return reason('ERR_PORT_FORWARD_GATEWAY', `${who} agrees to forward a port, but grants none.`);
  }
}

/** Why a port that was held is gone though nothing went wrong. */
export function endOf(cause: 'released' | 'exit-changed'): LeaseReason {
  return cause === 'released'
    ? reason('ERR_CLOSED', 'The port was given back, since the tunnel is closed.')
    : reason('ERR_PORT_FORWARD_GATEWAY', 'The tunnel leads to another exit now, where the port is not ours.');
}

function refusal(result: number, who: string): LeaseReason {
  switch (result) {
    case NATPMP_NOT_AUTHORIZED:
      return reason('ERR_PORT_FORWARD_REFUSED', 'This server or key does not allow port forwarding.');
    case NATPMP_OUT_OF_RESOURCES:
      return reason('ERR_PORT_FORWARD_FULL', `${who} has no port left for this key.`);
    case NATPMP_NETWORK_FAILURE:
      return reason('ERR_PORT_FORWARD_GATEWAY', `${who} says that its own network is down.`);
    case NATPMP_UNSUPPORTED_VERSION:
    case NATPMP_UNSUPPORTED_OPCODE:
      return reason('ERR_PORT_FORWARD_REFUSED', `${who} does not know NAT-PMP (result ${result}).`);
    default:
      return reason('ERR_PORT_FORWARD_GATEWAY', `${who} refuses with the unknown result ${result}.`);
  }
}

function reason(code: ErrorCode, message: string): LeaseReason {
  return { code, message, hint: ERRORS[code] };
}
