/** An exchange recorded with a real wireguard-go, reproduced byte for byte from its keys. */

import { describe, expect, it } from 'vitest';
import { ip } from '../../src/core/base/address.ts';
import { ascii, fromHex, toHex, u32le } from '../../src/core/base/bytes.ts';
import { instant } from '../../src/core/base/instant.ts';
import { Initiator, Responder } from '../../src/core/noise/ikpsk2.ts';
import { encodeInitiation, INITIATION, RESPONSE, writeTransportHeader } from '../../src/core/wire/wireguard.ts';
import { PROLOGUE } from '../../src/core/wireguard/constants.ts';
import { CookieIssuer, CookieJar } from '../../src/core/wireguard/cookies.ts';
import { nobleCrypto as crypto } from '../../src/node/crypto/noble.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { describeVectors } from '../support/vectors.ts';

interface Transcript {
  readonly responder_static_private: string;
  readonly responder_static_public: string;
  readonly initiator_static_private: string;
  readonly preshared_key: string;
  readonly initiator_ephemeral_private: string;
  readonly initiator_index: string;
  readonly tai64n: string;
  readonly initiation: string;
  readonly response: string;
  readonly initiator_send_key: string;
  readonly initiator_recv_key: string;
  readonly data1_plaintext: string;
  readonly data1_packet: string;
  readonly reply_packet: string;
  readonly reply_plaintext: string;
  readonly cookie: {
    readonly initiation: string;
    readonly cookie_reply: string;
    readonly next_initiation: string;
  };
}

const NOW = instant(0);

describeVectors<Transcript>('the transcript of wireguard-go', 'wireguard_go_transcript.json', (recorded) => {
  const responderKey = fromHex(recorded.responder_static_public);
  const party = (privateKey: string) => ({
    crypto,
    prologue: ascii(PROLOGUE),
    localStatic: crypto.keyPair(fromHex(privateKey)),
  });
  const initiator = (): Initiator => {
    const local = party(recorded.initiator_static_private);
    const ephemeral = crypto.keyPair(fromHex(recorded.initiator_ephemeral_private));
    const created = Initiator.create(
      local,
      responderKey,
      local.localStatic.dh(responderKey)!,
      ephemeral,
      fromHex(recorded.tai64n),
    );
    if (!created) throw new Error('the recorded keys do not work');
    return created;
  };

  it('A1: the initiation follows from its keys, index and timestamp byte for byte (W§5.4.1, §5.4.2)', () => {
    const bytes = encodeInitiation(u32le(fromHex(recorded.initiator_index), 0), initiator().message);
    new CookieJar(crypto, responderKey).sign(bytes, NOW);
    expect(toHex(bytes)).toBe(recorded.initiation);
  });

  it('A1: the response yields the recorded keys (W§5.4.3, §5.4.5)', () => {
    const noise = fromHex(recorded.response).subarray(RESPONSE.noise, RESPONSE.noiseEnd);
    const result = initiator().readResponse(noise, fromHex(recorded.preshared_key));
    if (typeof result === 'string') throw new Error(result);
    expect(result.payload).toHaveLength(0);
    expect(toHex(result.keys.send)).toBe(recorded.initiator_send_key);
    expect(toHex(result.keys.receive)).toBe(recorded.initiator_recv_key);
  });

  it('A1: the responder reads the recorded initiation, static key and timestamp (W§5.4.2)', () => {
    const local = party(recorded.responder_static_private);
    const noise = fromHex(recorded.initiation).subarray(INITIATION.noise, INITIATION.noiseEnd);
    const responder = Responder.open(local, noise);
    if (typeof responder === 'string') throw new Error(responder);
    const payload = responder.readPayload(local.localStatic.dh(responder.remoteStatic)!);
    expect(toHex(responder.remoteStatic)).toBe(toHex(party(recorded.initiator_static_private).localStatic.publicKey));
    expect(payload && toHex(payload)).toBe(recorded.tai64n);
  });

  it('A4: data packets have the counter as nonce and no associated data, in both directions (W§5.4.6)', () => {
    const sealed = new Uint8Array(fromHex(recorded.data1_packet).length);
    sealed.set(fromHex(recorded.data1_plaintext), 16);
    writeTransportHeader(sealed, 0, u32le(fromHex(recorded.response), RESPONSE.sender), 0, 0);
    crypto.aeadKey(fromHex(recorded.initiator_send_key)).seal(sealed, 16, sealed.length - 32, 0, 0);
    expect(toHex(sealed)).toBe(recorded.data1_packet);

    const reply = fromHex(recorded.reply_packet);
    const opened = crypto.aeadKey(fromHex(recorded.initiator_recv_key)).open(reply, 16, reply.length - 16, 0, 0);
    expect(opened).toBe(true);
    expect(toHex(reply.subarray(16, reply.length - 16))).toBe(recorded.reply_plaintext);
  });

  it('A3: the recorded cookie reply opens, and its cookie makes the recorded mac2 (W§5.4.4, §5.4.7)', () => {
    const jar = new CookieJar(crypto, responderKey);
    const first = fromHex(recorded.cookie.initiation);
    jar.sign(first, NOW);
    expect(toHex(first)).toBe(recorded.cookie.initiation);
    expect(jar.takeReply(fromHex(recorded.cookie.cookie_reply), NOW)).toBe(true);
    const second = fromHex(recorded.cookie.next_initiation);
    second.fill(0, INITIATION.mac1);
    jar.sign(second, NOW);
    expect(toHex(second)).toBe(recorded.cookie.next_initiation);
  });

  describe('as seen by our responder', () => {
    it('A3: mac1 of every recorded message to it is right (W§5.4.4)', () => {
      const issuer = new CookieIssuer(crypto, new SeededRandom(1), responderKey);
      for (const message of [recorded.initiation, recorded.cookie.initiation, recorded.cookie.next_initiation])
        expect(issuer.checkMac1(fromHex(message))).toBe(true);
      const foreign = { address: ip('10.9.0.1'), port: 47_693 };
      expect(issuer.checkMac2(fromHex(recorded.cookie.next_initiation), foreign, NOW)).toBe(false);
    });
  });
});
