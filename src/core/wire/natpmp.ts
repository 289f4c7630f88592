/**
 * NAT-PMP messages (RFC 6886), both sides: a client asks its gateway for the external address or for a port, the gateway answers.
 * Decoding returns a value or the name of a fault, never an exception; a longer datagram than needed is read by its beginning.
 * Not here: the announcements of §3.2.1, and PCP (RFC 6887), which a gateway of this version refuses (§3.5).
 */

import type { IpAddress } from '../base/address.ts';
import { setU16be, setU32be, u16be, u32be } from '../base/bytes.ts';

/** Gateways listen here (§3.1). */
export const NATPMP_PORT = 5351;

/** Result codes (§3.5). Others may come and are fatal to the request. */
export const NATPMP_SUCCESS = 0;
export const NATPMP_UNSUPPORTED_VERSION = 1;
export const NATPMP_NOT_AUTHORIZED = 2;
export const NATPMP_NETWORK_FAILURE = 3;
export const NATPMP_OUT_OF_RESOURCES = 4;
export const NATPMP_UNSUPPORTED_OPCODE = 5;

export type NatPmpProtocol = 'udp' | 'tcp';

export type NatPmpRequest = { readonly kind: 'external-address' } | NatPmpMapRequest;

export interface NatPmpMapRequest {
  readonly kind: 'map';
  readonly protocol: NatPmpProtocol;
  /** 0 with a lifetime of 0: every mapping of this client and protocol. 0 otherwise: a provider's own meaning, see the guide. */
  readonly internalPort: number;
  /** The port that the client would like, or holds already; 0 for any. */
  readonly externalPort: number;
  /** 0 destroys the mapping (§3.4). */
  readonly lifetimeSeconds: number;
}

export type NatPmpResponse = NatPmpAddressResponse | NatPmpMapResponse | NatPmpErrorResponse;

export interface NatPmpAddressResponse {
  readonly kind: 'external-address';
  readonly result: number;
  /** Seconds since the gateway's table of mappings was last empty (§3.6). */
  readonly epochSeconds: number;
  /** IPv4; all zero if `result` is not 0. */
  readonly address: IpAddress;
}

export interface NatPmpMapResponse {
  readonly kind: 'map';
  readonly protocol: NatPmpProtocol;
  readonly result: number;
  readonly epochSeconds: number;
  /** As requested, so that the client knows which request this answers. */
  readonly internalPort: number;
  /** 0 if `result` is not 0 or the mapping was destroyed. */
  readonly externalPort: number;
  readonly lifetimeSeconds: number;
}

/** A failure in the short form: of a version or an operation that the gateway does not have, or from a terse gateway. */
export interface NatPmpErrorResponse {
  readonly kind: 'error';
  /** Of the request: 0 external address, 1 map UDP, 2 map TCP. */
  readonly operation: number;
  readonly result: number;
  /** Absent if the datagram ended before it. */
  readonly epochSeconds?: number;
}

/** Why bytes are no NAT-PMP message: names of drop counters. */
export type NatPmpFault =
  | 'natpmp-truncated'
  | 'natpmp-version'
  | 'natpmp-operation'
  /** A request where a response was expected, or the reverse. */
  | 'natpmp-direction';

const OPERATION_ADDRESS = 0;
const OPERATION_MAP_UDP = 1;
const OPERATION_MAP_TCP = 2;
const RESPONSE = 128;

export function encodeNatPmpRequest(request: NatPmpRequest): Uint8Array {
  if (request.kind === 'external-address') return Uint8Array.of(0, OPERATION_ADDRESS);
  const bytes = new Uint8Array(12);
  bytes[1] = operationOf(request.protocol);
  setU16be(bytes, 4, request.internalPort);
  setU16be(bytes, 6, request.externalPort);
  setU32be(bytes, 8, request.lifetimeSeconds);
  return bytes;
}

/** Reads a request as a gateway does. To each fault but `natpmp-direction` and `natpmp-truncated`, §3.5 has an answer. */
export function decodeNatPmpRequest(bytes: Uint8Array): NatPmpRequest | NatPmpFault {
  if (bytes.length < 2) return 'natpmp-truncated';
  const operation = bytes[1]!;
  // First the version: a later one may have given the second byte another meaning.
  if (bytes[0] !== 0) return 'natpmp-version';
  if (operation >= RESPONSE) return 'natpmp-direction';
  if (operation === OPERATION_ADDRESS) return { kind: 'external-address' };
  const protocol = protocolOf(operation);
  if (!protocol) return 'natpmp-operation';
  if (bytes.length < 12) return 'natpmp-truncated';
  return {
    kind: 'map',
    protocol,
    internalPort: u16be(bytes, 4),
    externalPort: u16be(bytes, 6),
    lifetimeSeconds: u32be(bytes, 8),
  };
}

export function encodeNatPmpResponse(response: NatPmpResponse): Uint8Array {
  const bytes = new Uint8Array(response.kind === 'map' ? 16 : response.kind === 'error' ? 8 : 12);
  setU16be(bytes, 2, response.result);
  setU32be(bytes, 4, response.epochSeconds ?? 0);
  switch (response.kind) {
    case 'external-address':
      bytes[1] = RESPONSE + OPERATION_ADDRESS;
      bytes.set(response.address.bytes.subarray(0, 4), 8);
      break;
    case 'map':
      bytes[1] = RESPONSE + operationOf(response.protocol);
      setU16be(bytes, 8, response.internalPort);
      setU16be(bytes, 10, response.externalPort);
      setU32be(bytes, 12, response.lifetimeSeconds);
      break;
    case 'error':
      // A refused version is answered with operation 0 and no response bit (§3.5).
      bytes[1] = response.result === NATPMP_UNSUPPORTED_VERSION ? 0 : RESPONSE + response.operation;
      break;
  }
  return bytes;
}

/** The answer to an operation that the gateway does not know: the whole request, with the response bit and result 5 (§3.5). */
export function encodeUnsupportedOperation(request: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(Math.max(4, request.length));
  bytes.set(request);
  bytes[1] = RESPONSE | bytes[1]!;
  setU16be(bytes, 2, NATPMP_UNSUPPORTED_OPCODE);
  return bytes;
}

/**
 * Reads a response as a client does. A failure may be of any length from 4 bytes on. The caller checks that it comes from the
 * gateway, and that operation and internal port are those it asked about.
 */
export function decodeNatPmpResponse(bytes: Uint8Array): NatPmpResponse | NatPmpFault {
  if (bytes.length < 4) return 'natpmp-truncated';
  if (bytes[0] !== 0) return 'natpmp-version';
  const result = u16be(bytes, 2);
  const unsupportedVersion = bytes[1] === 0 && result === NATPMP_UNSUPPORTED_VERSION;
  if (bytes[1]! < RESPONSE && !unsupportedVersion) return 'natpmp-direction';
  const operation = bytes[1]! & ~RESPONSE;
  const protocol = protocolOf(operation);
  const needed = operation === OPERATION_ADDRESS ? 12 : 16;
  if (unsupportedVersion || (result !== NATPMP_SUCCESS && (bytes.length < needed || isCopy(operation))))
    return errorResponse(bytes, operation, result);
  if (operation !== OPERATION_ADDRESS && !protocol) return 'natpmp-operation';
  if (bytes.length < needed) return 'natpmp-truncated';
  const epochSeconds = u32be(bytes, 4);
  if (!protocol)
    return { kind: 'external-address', result, epochSeconds, address: { family: 4, bytes: bytes.slice(8, 12) } };
  return {
    kind: 'map',
    protocol,
    result,
    epochSeconds,
    internalPort: u16be(bytes, 8),
    externalPort: u16be(bytes, 10),
    lifetimeSeconds: u32be(bytes, 12),
  };
}

/** Whether a failure of this operation carries a copy of the request where others carry the epoch (§3.5). */
function isCopy(operation: number): boolean {
  return operation > OPERATION_MAP_TCP;
}

function errorResponse(bytes: Uint8Array, operation: number, result: number): NatPmpErrorResponse {
  if (bytes.length < 8 || isCopy(operation)) return { kind: 'error', operation, result };
  return { kind: 'error', operation, result, epochSeconds: u32be(bytes, 4) };
}

function operationOf(protocol: NatPmpProtocol): number {
  return protocol === 'udp' ? OPERATION_MAP_UDP : OPERATION_MAP_TCP;
}

function protocolOf(operation: number): NatPmpProtocol | undefined {
  if (operation === OPERATION_MAP_UDP) return 'udp';
  return operation === OPERATION_MAP_TCP ? 'tcp' : undefined;
}
