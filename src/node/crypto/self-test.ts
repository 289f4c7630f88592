/**
 * What a backend must get right before it may carry traffic: known answers of every primitive, forgeries that it must refuse,
 * and one digest over packets of many lengths, since fast implementations go wrong at the edges of their blocks.
 */

import { ascii, fromHex, toHex } from '../../core/base/bytes.ts';
import { type AeadKey, type Crypto, TAG_LENGTH } from '../../core/base/crypto.ts';

/** What is wrong with the backend, in a few words; `undefined` if nothing is. Takes a few milliseconds; never throws. */
export function selfTest(crypto: Crypto): string | undefined {
  try {
    return CHECKS.find(([, passes]) => !passes(crypto))?.[0];
  } catch (error) {
    return `threw ${error instanceof Error ? error.message : String(error)}`;
  }
}

const CHECKS: readonly (readonly [string, (crypto: Crypto) => boolean])[] = [
  ['wrong ChaCha20-Poly1305 (RFC 8439 appendix A.5)', sealsTheRfcExample],
  ['wrong ChaCha20-Poly1305 at some length', sealsEveryLength],
  ['a forged packet was accepted', refusesForgeries],
  ['wrong XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha appendix A.3.1)', sealsTheCookieExample],
  ['wrong X25519 (RFC 7748 §6.1)', agreesOnTheRfcSecret],
  ['an all-zero X25519 result was accepted (RFC 7748 §6.1)', refusesZeroSecrets],
  ['wrong BLAKE2s (RFC 7693)', hashesTheRfcExample],
];

const KEY = fromHex('1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0');
const ASSOCIATED_DATA = fromHex('f33388860000000000004e91');
const PLAINTEXT = new TextEncoder().encode(
  'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted by ' +
    'other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them other ' +
    'than as /“work in progress./”',
);
const [COUNTER_LOW, COUNTER_HIGH] = [0x04030201, 0x08070605];

function sealsTheRfcExample(crypto: Crypto): boolean {
  const key = crypto.aeadKey(KEY);
  const sealed = sealExample(key);
  const right =
    toHex(sealed.subarray(0, 16)) === '64a0861575861af460f062c79be643bd' &&
    toHex(sealed.subarray(-TAG_LENGTH)) === 'eead9d67890cbb22392336fea1851f38';
  const opened = key.open(sealed, 0, sealed.length, COUNTER_LOW, COUNTER_HIGH, ASSOCIATED_DATA);
  return right && opened && toHex(sealed.subarray(0, PLAINTEXT.length)) === toHex(PLAINTEXT);
}

/** BLAKE2s over all of them, chained; the constant is the reference backend's, and each backend's tests hold the others to it. */
const EVERY_LENGTH_DIGEST = 'ca8d8e86c85812c9e18c75c2e1736df643f1be5ffb8a185dab21ee25cf6b9a2f';

function sealsEveryLength(crypto: Crypto): boolean {
  const key = crypto.aeadKey(KEY);
  let digest: Uint8Array = new Uint8Array(32);
  for (let length = 0; length <= 1424; length += length < 272 ? 1 : 64) {
    const packet = new Uint8Array(32 + length + TAG_LENGTH);
    for (let i = 0; i < length; i++) packet[32 + i] = i * 7 + length;
    const plain = toHex(packet.subarray(32, 32 + length));
    packet.set(digest);
    key.seal(packet, 32, length, length, 0);
    digest = crypto.blake2s(packet, 32);
    const opened = key.open(packet, 32, length + TAG_LENGTH, length, 0);
    if (!opened || toHex(packet.subarray(32, 32 + length)) !== plain) return false;
  }
  return toHex(digest) === EVERY_LENGTH_DIGEST;
}

function refusesForgeries(crypto: Crypto): boolean {
  const key = crypto.aeadKey(KEY);
  for (const at of [0, PLAINTEXT.length - 1, PLAINTEXT.length, PLAINTEXT.length + TAG_LENGTH - 1]) {
    const forged = sealExample(key);
    forged[at]! ^= 0x80;
    if (key.open(forged, 0, forged.length, COUNTER_LOW, COUNTER_HIGH, ASSOCIATED_DATA)) return false;
  }
  const lengths = [0, TAG_LENGTH - 1, TAG_LENGTH];
  return (
    !key.open(sealExample(key), 0, PLAINTEXT.length + TAG_LENGTH, COUNTER_LOW + 1, COUNTER_HIGH, ASSOCIATED_DATA) &&
    !key.open(sealExample(key), 0, PLAINTEXT.length + TAG_LENGTH, COUNTER_LOW, COUNTER_HIGH + 1, ASSOCIATED_DATA) &&
    !key.open(sealExample(key), 0, PLAINTEXT.length + TAG_LENGTH, COUNTER_LOW, COUNTER_HIGH) &&
    lengths.every((length) => !key.open(sealExample(key), 0, length, COUNTER_LOW, COUNTER_HIGH, ASSOCIATED_DATA))
  );
}

function sealExample(key: AeadKey): Uint8Array {
  const packet = new Uint8Array(PLAINTEXT.length + TAG_LENGTH);
  packet.set(PLAINTEXT);
  key.seal(packet, 0, PLAINTEXT.length, COUNTER_LOW, COUNTER_HIGH, ASSOCIATED_DATA);
  return packet;
}

function sealsTheCookieExample(crypto: Crypto): boolean {
  const key = fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
  const nonce = fromHex('404142434445464748494a4b4c4d4e4f5051525354555657');
  const associatedData = fromHex('50515253c0c1c2c3c4c5c6c7');
  const plaintext = ascii(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const sealed = crypto.xaeadSeal(key, nonce, plaintext, associatedData);
  const opened = crypto.xaeadOpen(key, nonce, sealed, associatedData);
  const right = toHex(sealed.subarray(-TAG_LENGTH)) === 'c0875924c1c7987947deafd8780acf49';
  sealed[3]! ^= 1;
  const forged = crypto.xaeadOpen(key, nonce, sealed, associatedData);
  return right && !!opened && toHex(opened) === toHex(plaintext) && forged === undefined;
}

const ALICE = fromHex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');

function agreesOnTheRfcSecret(crypto: Crypto): boolean {
  const alice = crypto.keyPair(ALICE);
  const bob = fromHex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f');
  const secret = alice.dh(bob);
  return (
    toHex(alice.publicKey) === '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a' &&
    !!secret &&
    toHex(secret) === '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'
  );
}

/** Points of low order: 0, 1, and one of order 8, whose product with any clamped scalar is zero. */
function refusesZeroSecrets(crypto: Crypto): boolean {
  const alice = crypto.keyPair(ALICE);
  const points = ['00'.repeat(32), `01${'00'.repeat(31)}`, LOW_ORDER];
  return points.every((point) => alice.dh(fromHex(point)) === undefined);
}

const LOW_ORDER = 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800';

function hashesTheRfcExample(crypto: Crypto): boolean {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  return (
    toHex(crypto.blake2s(ascii('abc'), 32)) === '508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982' &&
    toHex(crypto.blake2s(ascii('abc'), 16, key)) === '61ba5f165c194692e09d12520cc4c74a'
  );
}
