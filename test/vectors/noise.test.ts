import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/base/bytes.ts';
import { Initiator, Responder, type SessionKeys } from '../../src/core/noise/ikpsk2.ts';
import { nobleCrypto as crypto } from '../../src/node/crypto/noble.ts';
import { describeVectors } from '../support/vectors.ts';

interface NoiseVector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_psks: readonly string[];
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

describeVectors<{ vectors: NoiseVector[] }>(
  'Noise vectors of cacophony',
  'noise_ikpsk2_25519_chachapoly_blake2s.json',
  ({ vectors }) => {
    const vector = vectors.find(({ protocol_name }) => protocol_name === 'Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s')!;

    it('A1: a handshake with foreign prologue and payloads comes out as published, on both sides (Noise §7.5, §9.4)', () => {
      const prologue = fromHex(vector.init_prologue);
      const psk = fromHex(vector.init_psks[0]!);
      const alice = { crypto, prologue, localStatic: crypto.keyPair(fromHex(vector.init_static)) };
      const bob = { crypto, prologue, localStatic: crypto.keyPair(fromHex(vector.resp_static)) };
      const ss = alice.localStatic.dh(bob.localStatic.publicKey)!;
      const [first, second, ...data] = vector.messages;

      const ephemeral = crypto.keyPair(fromHex(vector.init_ephemeral));
      const initiator = Initiator.create(alice, bob.localStatic.publicKey, ss, ephemeral, fromHex(first!.payload))!;
      expect(toHex(initiator.message)).toBe(first!.ciphertext);

      const responder = Responder.open(bob, initiator.message);
      if (typeof responder === 'string') throw new Error(responder);
      expect(responder.remoteStatic).toEqual(alice.localStatic.publicKey);
      expect(toHex(responder.readPayload(ss)!)).toBe(first!.payload);
      const answer = responder.writeResponse(
        crypto.keyPair(fromHex(vector.resp_ephemeral)),
        psk,
        fromHex(second!.payload),
      )!;
      expect(toHex(answer.message)).toBe(second!.ciphertext);
      expect(toHex(answer.hash)).toBe(vector.handshake_hash);

      const result = initiator.readResponse(answer.message, psk);
      if (typeof result === 'string') throw new Error(result);
      expect(toHex(result.payload)).toBe(second!.payload);
      expect(toHex(result.hash)).toBe(vector.handshake_hash);
      expect(result.keys).toEqual({ send: answer.keys.receive, receive: answer.keys.send });
      const sender = (index: number): SessionKeys => (index % 2 === 0 ? result.keys : answer.keys);
      expect(data.map(({ payload }, i) => seal(sender(i).send, payload, i >> 1))).toEqual(
        data.map((m) => m.ciphertext),
      );
    });
  },
);

function seal(key: Uint8Array, payload: string, counter: number): string {
  const plaintext = fromHex(payload);
  const bytes = new Uint8Array(plaintext.length + 16);
  bytes.set(plaintext);
  crypto.aeadKey(key).seal(bytes, 0, plaintext.length, counter, 0);
  return toHex(bytes);
}
