/** WireGuard keys as text: 32 bytes in base64, and a diagnosis for each of the ways in which people get them wrong. */

import { fromBase64, isAllZero } from '../../base/bytes.ts';
import { KEY_LENGTH } from '../../base/crypto.ts';
import { fault } from './fault.ts';
import type { Entry } from './lines.ts';

const EXPECTED = 'expected 32 bytes in base64, which are 44 characters that end in “=”';

/** The 32 bytes of a key. Throws `ERR_CONFIG_KEY`, without the key. */
export function readKey({ key, value, place }: Entry): Uint8Array {
  const text = value.replace(/\s/g, '');
  const bytes = fromBase64(text);
  if (isPlaceholder(text, bytes))
    throw fault(
      'ERR_CONFIG_KEY',
      place,
      `${key} is a placeholder, not a key; ${EXPECTED}.`,
      `Put the real key there: ${sourceOf(key)}.`,
    );
  if (bytes?.length === KEY_LENGTH) return bytes;
  throw fault('ERR_CONFIG_KEY', place, `${key} ${complaint(text, bytes)}; ${EXPECTED}.`);
}

/** A private key is clamped when it is made (RFC 7748 §5); only one in 32 public keys looks like that. */
export function looksClamped(privateKey: Uint8Array): boolean {
  return (privateKey[0]! & 7) === 0 && (privateKey[31]! & 0xc0) === 0x40;
}

function complaint(text: string, bytes: Uint8Array | undefined): string {
  if (text === '') return 'is empty';
  if (/^["'“”‘’]/.test(text)) return 'is in quotes, which do not belong there';
  if (/^[0-9a-fA-F]{64}$/.test(text)) return 'is in hexadecimal';
  if (bytes) return `has ${bytes.length} bytes instead of 32`;
  if (/^[A-Za-z0-9+/]{43}$/.test(text)) return 'lacks the “=” at its end';
  if (/^[A-Za-z0-9_-]{43}=?$/.test(text)) return 'is in the URL form of base64, with “-” or “_”';
  if (!/^[A-Za-z0-9+/]*=*$/.test(text)) return 'has characters that do not occur in base64';
  if (text.length === 44) return 'is mistyped: no key of 32 bytes ends like this';
  return `has ${text.length} characters instead of 44, so a part is missing or too much`;
}

const PLACEHOLDER_WORDS =
  /your|private.?key|public.?key|pre.?shared|placeholder|change.?me|example|replace|insert|redacted|hidden|secret|x{4}|\*{3}|\.{3}|…/i;

function isPlaceholder(text: string, bytes: Uint8Array | undefined): boolean {
  // Also a whole key can be one: nobody draws 32 equal bytes.
  if (bytes && bytes.length > 0 && bytes.every((byte) => byte === bytes[0])) return true;
  if (bytes?.length === KEY_LENGTH) return false;
  return (
    /^[<{[(%$].*[>}\])%]$/.test(text) ||
    /^(none|null|undefined|todo|tbd|key|base64)$/i.test(text) ||
    /^(.)\1{7,}=*$/.test(text) ||
    (PLACEHOLDER_WORDS.test(text) && !/^[A-Za-z0-9+/]{40,}=*$/.test(text.replace(/x{4,}|your/gi, '')))
  );
}

/** All zero means “none” for a preshared key (whitepaper §5.4.2). */
export function isNoPresharedKey(value: string): boolean {
  const bytes = fromBase64(value.replace(/\s/g, ''));
  return bytes?.length === KEY_LENGTH && isAllZero(bytes);
}

function sourceOf(key: string): string {
  if (key === 'PublicKey') return 'the server’s public key, from your provider';
  if (key === 'PresharedKey') return 'the one your provider shows, or remove the line if there is none';
  return 'the private key that your provider shows once, when the configuration is made';
}
