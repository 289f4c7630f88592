/**
 * The four WireGuard messages as bytes (whitepaper §5.4): where each field stands, and how long each message is. Fields are
 * read and written in place with `u32le` and `subarray`, since transport messages come by the hundred thousand per second.
 *
 * The type is one byte followed by three reserved zero bytes. It is compared as one 32-bit little-endian integer, so a message
 * whose reserved bytes are not zero has an unknown type.
 */

import { setU32le, u32le } from '../base/bytes.ts';

export const MESSAGE_INITIATION = 1;
export const MESSAGE_RESPONSE = 2;
export const MESSAGE_COOKIE_REPLY = 3;
export const MESSAGE_TRANSPORT = 4;

/** What `messageType` answers for bytes that are none of the four messages. */
export const MESSAGE_UNKNOWN = 0;

export const INITIATION_LENGTH = 148;
export const RESPONSE_LENGTH = 92;
export const COOKIE_REPLY_LENGTH = 64;
/** A keepalive: the header and the tag of an empty packet. Every other transport message is longer. */
export const TRANSPORT_MIN_LENGTH = 32;

/** type ‖ sender ‖ ephemeral 32 ‖ static 48 ‖ timestamp 28 ‖ mac1 16 ‖ mac2 16; `noise` is the three in the middle. */
export const INITIATION = { sender: 4, noise: 8, noiseEnd: 116, mac1: 116, mac2: 132 } as const;
/** type ‖ sender ‖ receiver ‖ ephemeral 32 ‖ empty 16 ‖ mac1 16 ‖ mac2 16. */
export const RESPONSE = { sender: 4, receiver: 8, noise: 12, noiseEnd: 60, mac1: 60, mac2: 76 } as const;
/** type ‖ receiver ‖ nonce 24 ‖ cookie 32. */
export const COOKIE_REPLY = { receiver: 4, nonce: 8, cookie: 32 } as const;
/** type ‖ receiver ‖ counter 8 ‖ ciphertext and tag. */
export const TRANSPORT = { receiver: 4, counterLow: 8, counterHigh: 12, ciphertext: 16 } as const;

/** mac1 and mac2 are the last two fields of both handshake messages. */
export const MAC_LENGTH = 16;

/** The type of the message in `length` bytes at `offset`, or `MESSAGE_UNKNOWN` if its type or its length is not one of ours. */
export function messageType(bytes: Uint8Array, offset: number, length: number): number {
  if (length < TRANSPORT_MIN_LENGTH) return MESSAGE_UNKNOWN;
  const type = u32le(bytes, offset);
  switch (type) {
    case MESSAGE_TRANSPORT:
      return type;
    case MESSAGE_INITIATION:
      return length === INITIATION_LENGTH ? type : MESSAGE_UNKNOWN;
    case MESSAGE_RESPONSE:
      return length === RESPONSE_LENGTH ? type : MESSAGE_UNKNOWN;
    case MESSAGE_COOKIE_REPLY:
      return length === COOKIE_REPLY_LENGTH ? type : MESSAGE_UNKNOWN;
    default:
      return MESSAGE_UNKNOWN;
  }
}

/** An initiation around the Noise message of 108 bytes; both MACs are zero. */
export function encodeInitiation(sender: number, noise: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(INITIATION_LENGTH);
  setU32le(bytes, 0, MESSAGE_INITIATION);
  setU32le(bytes, INITIATION.sender, sender);
  bytes.set(noise, INITIATION.noise);
  return bytes;
}

/** A response around the Noise message of 48 bytes; both MACs are zero. */
export function encodeResponse(sender: number, receiver: number, noise: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RESPONSE_LENGTH);
  setU32le(bytes, 0, MESSAGE_RESPONSE);
  setU32le(bytes, RESPONSE.sender, sender);
  setU32le(bytes, RESPONSE.receiver, receiver);
  bytes.set(noise, RESPONSE.noise);
  return bytes;
}

/** A cookie reply; `nonce` has 24 bytes, `sealedCookie` 32. */
export function encodeCookieReply(receiver: number, nonce: Uint8Array, sealedCookie: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(COOKIE_REPLY_LENGTH);
  setU32le(bytes, 0, MESSAGE_COOKIE_REPLY);
  setU32le(bytes, COOKIE_REPLY.receiver, receiver);
  bytes.set(nonce, COOKIE_REPLY.nonce);
  bytes.set(sealedCookie, COOKIE_REPLY.cookie);
  return bytes;
}

/** Writes the 16 bytes before the ciphertext of a transport message. */
export function writeTransportHeader(
  bytes: Uint8Array,
  offset: number,
  receiver: number,
  counterLow: number,
  counterHigh: number,
): void {
  setU32le(bytes, offset, MESSAGE_TRANSPORT);
  setU32le(bytes, offset + TRANSPORT.receiver, receiver);
  setU32le(bytes, offset + TRANSPORT.counterLow, counterLow);
  setU32le(bytes, offset + TRANSPORT.counterHigh, counterHigh);
}
