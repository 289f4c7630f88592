import { describe, expect, it } from 'vitest';
import { ascii } from '../../../src/core/base/bytes.ts';
import { Initiator, type NoiseParty, Responder, type SessionKeys } from '../../../src/core/noise/ikpsk2.ts';
import { SymmetricState } from '../../../src/core/noise/symmetric-state.ts';
import { nodeCrypto as crypto } from '../../../src/node/crypto/node.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(31);
const party = (): NoiseParty => ({
  crypto,
  prologue: ascii('a prologue'),
  localStatic: crypto.keyPair(random.bytes(32)),
});

interface Started {
  readonly alice: NoiseParty;
  readonly bob: NoiseParty;
  readonly shared: Uint8Array;
  readonly initiator: Initiator;
}

function started(payload: Uint8Array = random.bytes(12)): Started {
  const [alice, bob] = [party(), party()];
  const shared = alice.localStatic.dh(bob.localStatic.publicKey)!;
  const ephemeral = crypto.keyPair(random.bytes(32));
  const initiator = Initiator.create(alice, bob.localStatic.publicKey, shared, ephemeral, payload)!;
  return { alice, bob, shared, initiator };
}

function answer(
  bob: NoiseParty,
  shared: Uint8Array,
  message: Uint8Array,
  psk: Uint8Array,
): { message: Uint8Array; keys: SessionKeys } {
  const responder = Responder.open(bob, message);
  if (typeof responder === 'string') throw new Error(responder);
  if (!responder.readPayload(shared)) throw new Error('the payload does not open');
  return responder.writeResponse(crypto.keyPair(random.bytes(32)), psk, new Uint8Array(0))!;
}

describe('Noise_IKpsk2', () => {
  it('gives both sides the same two keys, crossed (Noise §5.3)', () => {
    const { bob, shared, initiator } = started();
    const psk = random.bytes(32);
    const response = answer(bob, shared, initiator.message, psk);
    const result = initiator.readResponse(response.message, psk);
    if (typeof result === 'string') throw new Error(result);
    expect(result.keys).toEqual({ send: response.keys.receive, receive: response.keys.send });
    expect(result.keys.send).not.toEqual(result.keys.receive);
  });

  it('shows the responder who calls and what was sent (Noise §7.5)', () => {
    const payload = random.bytes(12);
    const { alice, bob, shared, initiator } = started(payload);
    const responder = Responder.open(bob, initiator.message);
    if (typeof responder === 'string') throw new Error(responder);
    expect(responder.remoteStatic).toEqual(alice.localStatic.publicKey);
    expect(responder.readPayload(shared)).toEqual(payload);
  });

  it('refuses an initiation with any byte changed, at its static key or at its payload (Noise §5.2)', () => {
    const { bob, shared, initiator } = started();
    for (let i = 0; i < initiator.message.length; i++) {
      const message = Uint8Array.from(initiator.message);
      message[i]! ^= 0x40;
      const responder = Responder.open(bob, message);
      if (typeof responder === 'string') expect(i).toBeLessThan(80);
      else expect(responder.readPayload(shared)).toBeUndefined();
    }
  });

  it('refuses a response with any byte changed or another pre-shared key, and reads the genuine one afterwards (Noise §5.3)', () => {
    const { bob, shared, initiator } = started();
    const psk = random.bytes(32);
    const response = answer(bob, shared, initiator.message, psk);
    for (let i = 0; i < response.message.length; i++) {
      const message = Uint8Array.from(response.message);
      message[i]! ^= 0x40;
      expect(initiator.readResponse(message, psk)).toBe('bad-tag');
    }
    expect(initiator.readResponse(response.message, random.bytes(32))).toBe('bad-tag');
    expect(initiator.readResponse(response.message, psk)).toHaveProperty('keys');
  });

  it('refuses an initiation meant for another responder (Noise §7.5)', () => {
    const { initiator } = started();
    expect(Responder.open(party(), initiator.message)).toBe('bad-tag');
  });

  it('refuses a payload when the static–static secret is not the sender’s (Noise §7.5)', () => {
    const { bob, initiator } = started();
    const responder = Responder.open(bob, initiator.message);
    if (typeof responder === 'string') throw new Error(responder);
    expect(responder.readPayload(random.bytes(32))).toBeUndefined();
  });

  it('zeroes the secrets mixed into it, and its own when wiped (whitepaper §5.4.5)', () => {
    const state = SymmetricState.start(crypto, ascii('a name'), ascii('a prologue'));
    const secret = random.bytes(32);
    state.mixKey(secret);
    expect(secret).toEqual(new Uint8Array(32));
    const { hash } = state;
    state.wipe();
    expect(hash).toEqual(new Uint8Array(32));
  });

  it('does not zero the static–static secret, which the next handshake needs as well', () => {
    const { shared } = started();
    expect(shared).not.toEqual(new Uint8Array(32));
  });
});
