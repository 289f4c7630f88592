/** One of our devices face to face with the reference peer, whose every byte the test decides. */

import { type Endpoint, ip } from '../../src/core/base/address.ts';
import type { DeviceOptions, Peer, PeerOptions } from '../../src/core/wireguard/device.ts';
import { tai64n } from '../../src/core/wireguard/timestamps.ts';
import { type Ephemeral, ReferencePeer, type ReferenceSession } from './reference-peer.ts';
import { SeededRandom } from './seeded-random.ts';
import { A_INNER, B_INNER, B_OUTER, End, EPOCH_SECONDS, net } from './wireguard-ends.ts';

/** Where the reference peer sends from, unless a test says otherwise. */
export const REFERENCE_OUTER: Endpoint = { address: ip('192.0.2.77'), port: 7_777 };

export interface RigOptions {
  readonly peer?: Partial<PeerOptions>;
  readonly device?: Partial<DeviceOptions>;
  readonly presharedKey?: Uint8Array;
}

export class Rig {
  readonly random: SeededRandom = new SeededRandom(99);
  readonly end: End;
  readonly peer: Peer;
  readonly reference: ReferencePeer;
  #timestamps = 0;

  /** The device is B of the inner network, the reference peer is A. */
  constructor(options: RigOptions = {}) {
    this.end = new End({ seed: 5, endpoint: B_OUTER, device: options.device ?? {} });
    this.reference = new ReferencePeer(this.random.bytes(32), this.end.publicKey);
    if (options.presharedKey) this.reference.presharedKey = options.presharedKey;
    this.peer = this.end.addPeer(this.reference, {
      allowedIps: [net(`${A_INNER}/32`), net('fd00::1/128')],
      ...(options.presharedKey ? { presharedKey: options.presharedKey } : {}),
      ...options.peer,
    });
  }

  ephemeral(): Ephemeral {
    return ReferencePeer.ephemeral(this.random.bytes(32));
  }

  /** A timestamp later than all before. */
  timestamp(): Uint8Array {
    return tai64n(EPOCH_SECONDS + this.#timestamps++, 0);
  }

  initiation(options: Partial<Parameters<ReferencePeer['initiation']>[0]> = {}): Uint8Array {
    return this.reference.initiation({
      index: this.random.u32(),
      timestamp: this.timestamp(),
      ephemeral: this.ephemeral(),
      ...options,
    });
  }

  feed(bytes: Uint8Array, from: Endpoint = REFERENCE_OUTER): void {
    this.end.feed(bytes, from);
  }

  /** The reference peer initiates; the device's answer yields the session, which the device takes for unconfirmed. */
  initiate(from: Endpoint = REFERENCE_OUTER): ReferenceSession {
    this.feed(this.initiation(), from);
    const session = this.reference.readResponse(this.end.take());
    if (!session) throw new Error('the response does not open');
    return session;
  }

  /** As `initiate`, confirmed by a keepalive with counter 0. */
  connect(): ReferenceSession {
    const session = this.initiate();
    this.feed(session.seal(0n));
    return session;
  }

  /** The device initiates and the reference peer answers. The device's confirmation is left in the outbox. */
  beInitiated(): ReferenceSession {
    this.end.device.initiate(this.peer, this.end.now);
    this.end.drain();
    const answer = this.reference.respond(this.end.take(), this.random.u32(), this.ephemeral());
    this.feed(answer.message);
    return answer.session;
  }

  /** How often the device has dropped something for this reason. */
  dropped(reason: Parameters<End['device']['drops']['of']>[0]): number {
    return this.end.device.drops.of(reason);
  }
}

/** A packet from the reference peer's inner address to the device's. */
export { aToB as fromReference, bToA as toReference } from './wireguard-ends.ts';
export { A_INNER as REFERENCE_INNER, B_INNER as DEVICE_INNER };
